"""Which request of one set is which of the other."""

from __future__ import annotations

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.comparison.served import Ints, Served

MOST_UNLIKE = 0.05
"""Share of requests that may be missing or of other lengths: more, and these are others."""
ACCEPTED = "a run of the requests that were measured"


def match(ours: Served, theirs: Served) -> tuple[Ints, Ints]:
    """Return rows of both, int64[m], that are the same requests.

    By their rows of the trace, where both have them; otherwise by the order of arrival. Where one
    has fewer, whatever is too many in the other is found by the lengths.

    Raises
    ------
    BadInput
        More than one in twenty has no counterpart.
    """
    if ours.ids is not None and theirs.ids is not None:
        _, one, other = np.intersect1d(ours.ids, theirs.ids, return_indices=True)
    elif len(ours) == len(theirs):
        return np.arange(len(ours)), np.arange(len(ours))
    else:
        one, other = _in_order(ours, theirs)
    missing = max(len(ours), len(theirs)) - len(one)
    if not len(one) or missing > MOST_UNLIKE * max(len(ours), len(theirs)):
        what = f"{len(ours):,} answered requests, {len(theirs):,} in {theirs.name}; "
        raise BadInput(ours.name, f"{what}{len(one):,} are the same", ACCEPTED)
    return one.astype(np.int64), other.astype(np.int64)


def unlike(ours: Served, theirs: Served) -> int:
    """Return how many matched requests differ in length; refuse if they are others altogether."""
    differ = (ours.input_tokens != theirs.input_tokens) | (
        ours.output_tokens != theirs.output_tokens
    )
    number = int(differ.sum())
    if number > MOST_UNLIKE * len(theirs):
        at = int(differ.argmax())
        lengths = " and ".join(
            f"{int(s.input_tokens[at])} in, {int(s.output_tokens[at])} out" for s in (ours, theirs)
        )
        what = f"{number:,} of {len(theirs):,} requests have other lengths, "
        raise BadInput(ours.name, f"{what}number {at} first: {lengths}", ACCEPTED)
    return number


def _in_order(ours: Served, theirs: Served) -> tuple[Ints, Ints]:
    """Pair equal lengths in order, skipping at most what one side has too many of."""
    long, short = (ours, theirs) if len(ours) > len(theirs) else (theirs, ours)
    extra = len(long) - len(short)
    at, pairs = 0, []
    for i in range(len(short)):
        for k in range(at, min(i + extra, len(long) - 1) + 1):
            if _same(long, k, short, i):
                pairs.append((k, i))
                at = k + 1
                break
    found = np.array(pairs, np.int64).reshape(-1, 2)
    one, other = found[:, 0], found[:, 1]
    return (one, other) if long is ours else (other, one)


def _same(long: Served, k: int, short: Served, i: int) -> bool:
    return bool(
        long.input_tokens[k] == short.input_tokens[i]
        and long.output_tokens[k] == short.output_tokens[i]
    )
