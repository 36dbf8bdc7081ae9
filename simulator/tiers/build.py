"""From a scenario's ``[tiers]`` to the tiers of each replica."""

from __future__ import annotations

from typing import Any, cast

from tierlab.kernels.base.errors import BadInput
from tierlab.policies.protocol import Loading
from tierlab.policies.registry import make_policy
from tierlab.simulator.scenario.tiers import PrefetchSection, TierSection, TiersSection
from tierlab.simulator.tiers.hierarchy import Hierarchy
from tierlab.simulator.tiers.spec import Limits, PrefetchSpec, TierSpec, check
from tierlab.simulator.tiers.tier import Tier


def tier_specs(
    section: TiersSection, engine_tokens: int, token_bytes: float, hbm_bytes: float, kv_tensors: int
) -> tuple[TierSpec, ...]:
    """Return the tiers that a scenario asks for, the fastest first.

    Parameters
    ----------
    engine_tokens
        Tokens of an engine block.
    token_bytes
        KV bytes of one token on all ranks of a replica.
    hbm_bytes
        The replica's KV pool, for capacities given as a multiple of it.
    kv_tensors
        Tensors that hold the KV of a token on all layers: two a layer, one with MLA.

    Raises
    ------
    BadInput
        An unknown policy, or tiers that cannot stand on each other.
    """
    specs: list[TierSpec] = []
    for name in section.names():
        above = specs[-1].block_tokens if specs else engine_tokens
        tier: TierSection = getattr(section, name)
        specs.append(_spec(name, tier, above, token_bytes, hbm_bytes, kv_tensors))
    check(tuple(specs), engine_tokens)
    return tuple(specs)


def _spec(
    name: str, tier: TierSection, above: int, token_bytes: float, hbm_bytes: float, kv_tensors: int
) -> TierSpec:
    same = ("write", "store_after_uses", "tracked", "promote", "promote_after_uses", "inclusive")
    more = ("staged", "shared", "touch_all", "compression", "high_watermark", "evict_share")
    copied = {key: getattr(tier, key) for key in (*same, *more, "staging_blocks", "mechanism")}
    return TierSpec(
        name=name,
        capacity_bytes=tier.capacity or tier.hbm_ratio * hbm_bytes,
        block_tokens=tier.block_size or above,
        token_bytes=token_bytes,
        eviction=_eviction(tier, f"tiers.{name}.eviction"),
        pieces_per_engine_block=kv_tensors if tier.layout == "layer_first" else 1,
        device=tier.device or name,
        **copied,
    )


def _eviction(tier: TierSection, where: str) -> Any:
    """Return the reuse policy of a tier; a time to live is one of LRU's."""
    name, parameters = _split(tier.eviction, where)
    if tier.ttl_s is None:
        return make_policy("reuse", name, parameters, where)
    if name != "lru":
        raise BadInput(where, f"{name!r} with ttl_s", "lru, or no ttl_s")
    return make_policy("reuse", "ttl", {"ttl_s": tier.ttl_s}, where)


def _split(value: str | dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value.get("name"), str):
        return value["name"], {k: v for k, v in value.items() if k != "name"}
    raise BadInput(where, f"{value!r} names no policy", 'a name, or { name = "...", ... }')


def make_loading(section: TiersSection) -> Loading:
    """Return the policy that says how much is loaded.

    Raises
    ------
    BadInput
        Unknown policy or parameter.
    """
    name, parameters = _split(section.loading, "tiers.loading")
    return cast("Loading", make_policy("loading", name, parameters, "tiers.loading"))


def make_hierarchies(
    section: TiersSection,
    specs: tuple[TierSpec, ...],
    engine_tokens: int,
    hbm_tokens: float,
    replicas: int,
) -> list[Hierarchy]:
    """Return the tiers of each replica; shared ones are the same object in all.

    Parameters
    ----------
    hbm_tokens
        Tokens that a replica's KV pool holds.
    """
    deep = len({spec.block_tokens for spec in specs}) > 1
    shared = {spec.name: Tier(spec, engine_tokens, deep) for spec in specs if spec.shared}
    limits = Limits(
        section.prompt_only,
        section.min_load_tokens,
        section.max_load_tokens,
        section.max_store_tokens,
    )
    prefetch = _prefetch(section.prefetch, specs, hbm_tokens)
    out = []
    for _ in range(replicas):
        tiers = [shared.get(spec.name) or Tier(spec, engine_tokens, deep) for spec in specs]
        out.append(Hierarchy(tiers, engine_tokens, limits, prefetch))
    return out


def _prefetch(
    section: PrefetchSection, specs: tuple[TierSpec, ...], hbm_tokens: float
) -> PrefetchSpec:
    most = float("inf")
    if section.share is not None and specs:
        tokens = specs[0].capacity_blocks * specs[0].block_tokens
        most = section.share * max(tokens - hbm_tokens, 0.0)
    given = section.model_dump(exclude={"share"})
    return PrefetchSpec(**given, most_tokens=most)
