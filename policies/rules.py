"""Which compositions cannot work, and why: one function a rule.

A rule gets the five policies by axis and returns the reason why they cannot stand together,
or None. Shape decides here; taste does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tierlab.policies.protocol import Policy

Rule = Callable[[Mapping[str, Policy]], str | None]


def reuse_needs_reusable_kv(policies: Mapping[str, Policy]) -> str | None:
    """KV chosen by one request's query is not a prefix that another can use."""
    reuse = policies["reuse"]
    if not reuse.declares.shares:
        return None
    for policy in policies.values():
        if not policy.declares.reusable:
            return (
                f"reuse {reuse.name!r} shares prefixes between requests, but {policy.axis} "
                f"{policy.name!r} leaves KV that depends on the query"
            )
    return None


def pages_need_equal_heads(policies: Mapping[str, Policy]) -> str | None:
    """Heads that keep different numbers of tokens do not fit pages of equal length."""
    ragged = [p for p in policies.values() if p.declares.per_head]
    paged = [p for p in policies.values() if p.declares.paged and not p.declares.per_head]
    if ragged and paged:
        return (
            f"{ragged[0].axis} {ragged[0].name!r} keeps a different number of tokens per head, "
            f"but {paged[0].axis} {paged[0].name!r} needs pages of equal length"
        )
    return None


def scores_need_a_pass(policies: Mapping[str, Policy]) -> str | None:
    """Fused attention returns no scores: who needs them pays for a pass of its own."""
    for policy in policies.values():
        if policy.declares.needs_scores and not policy.declares.extra_pass:
            return (
                f"{policy.axis} {policy.name!r} needs attention scores, which fused attention "
                "does not return, and declares no extra pass for them"
            )
    return None


def groups_cannot_lose_tokens(policies: Mapping[str, Policy]) -> str | None:
    """Tokens cannot leave the middle of a group that was quantised together."""
    grouped = [p for p in policies.values() if p.declares.grouped_tokens]
    dropping = [p for p in policies.values() if p.declares.drops_after_write]
    if grouped and dropping:
        return (
            f"{dropping[0].axis} {dropping[0].name!r} drops stored tokens, but {grouped[0].axis} "
            f"{grouped[0].name!r} keeps neighbouring tokens as one group, which would have to be "
            "formed anew"
        )
    return None


def reuse_needs_whole_prefixes(policies: Mapping[str, Policy]) -> str | None:
    """Refuse to share what has holes: another request would attend to the whole prefix."""
    reuse = policies["reuse"]
    if not reuse.declares.shares:
        return None
    for policy in policies.values():
        if policy.declares.drops_after_write:
            return (
                f"reuse {reuse.name!r} shares whole prefixes, but {policy.axis} {policy.name!r} "
                "leaves only a part of the prefix stored"
            )
    return None


def scores_need_every_token(policies: Mapping[str, Policy]) -> str | None:
    """Tokens that a step does not read get no attention score from it."""
    retention, selection = policies["retention"], policies["selection"]
    if retention.declares.needs_scores and selection.declares.partial:
        return (
            f"retention {retention.name!r} ranks tokens by their attention scores, but selection "
            f"{selection.name!r} reads a part of them: the others get none"
        )
    return None


RULES: tuple[Rule, ...] = (
    reuse_needs_reusable_kv,
    pages_need_equal_heads,
    scores_need_a_pass,
    groups_cannot_lose_tokens,
    reuse_needs_whole_prefixes,
    scores_need_every_token,
)
