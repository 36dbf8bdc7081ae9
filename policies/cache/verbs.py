"""What a reuse policy brings to the miss loop.

A policy's verbs are plain functions of a `State`. They and the functions that they name are
compiled when the policy first runs, so they keep to what numba compiles, and name the functions
that they call themselves (``insert(s)``, not ``lru.insert(s)``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from tierlab.policies.cache.state import State
from tierlab.policies.protocol import Declares, Statistics, Tokens, View


def never(s: State) -> bool:
    """Return that nothing outlives its time."""
    return False


def stays(s: State, slot: int) -> None:
    """Remove no block: the policy cannot take one out of its middle."""


@dataclass(frozen=True)
class Verbs:
    """The functions of a policy, and which arrays they need.

    Attributes
    ----------
    find
        ``(state, slot) -> bool``: whether the block is cached; updates recency, frequency and
        ghosts. Called first for every access.
    evict
        ``(state) -> int``: one step towards room. Returns the slot that left the cache, or 0 if
        blocks only moved between lists. Never takes a slot with ``hold > 0``; is called only
        while a cached block has none.
    insert
        ``(state, slot) -> bool``: takes a block that `find` did not find; False: not admitted.
    stale
        ``(state) -> bool``: whether the block that `evict` would take has outlived its time.
    remove
        ``(state, slot) -> None``: takes a cached block out of the policy's lists, wherever it
        stands; `stays` where the policy cannot, and then no tier that must give up single blocks
        (exclusive ones) can run it.
    uses, rise
        ``(state, slots) -> None`` and ``(state, slot, parents) -> None``: what `guarded` has under
        these names, where a policy can do it faster than by calling `find` for each block.
    aux, key, future, used
        Whether the state has these arrays.
    """

    find: Callable[[State, int], bool]
    evict: Callable[[State], int]
    insert: Callable[[State, int], bool]
    stale: Callable[[State], bool] = never
    remove: Callable[[State, int], None] = stays
    uses: Callable[[State, Any], None] | None = None
    rise: Callable[[State, int, Any], None] | None = None
    used: bool = True
    aux: bool = False
    key: bool = False
    future: bool = False


class BlockPolicy(Protocol):
    """A reuse policy that the miss loop can play."""

    name: ClassVar[str]
    verbs: ClassVar[Verbs]

    def prepare(self, state: State) -> None:
        """Set the policy's registers of an empty cache."""


class Kept:
    """What all policies that keep blocks have in common: footprint, statistics and decision."""

    axis: ClassVar[str] = "reuse"
    declares: ClassVar[Declares] = Declares(shares=True)

    def prepare(self, state: State) -> None:
        """Leave the registers at 0."""

    def footprint(self, block_bytes: float) -> float:
        """Return the bytes that keeping one finished block costs: all of it."""
        return block_bytes

    def statistics(self, source: Mapping[str, Any]) -> Statistics:
        """Return the distribution of the hit ratio of a request.

        Parameters
        ----------
        source
            ``hits`` and ``blocks``, one value a request, as `CacheSim.run` counts them; without
            them nothing is known of the log, and no reuse is promised.
        """
        blocks = np.asarray(source.get("blocks", ()), np.float64)
        if not blocks.sum():
            return Statistics(0.0, 0.0, 1.0, "assumption: no log, so no reuse is promised")
        hits = np.asarray(source["hits"], np.float64)
        mean = float(hits.sum() / blocks.sum())
        p10, p90 = np.quantile(hits[blocks > 0] / blocks[blocks > 0], [0.1, 0.9])
        text = f"counted: {len(blocks)} requests"
        return Statistics(mean, min(mean, float(p10)), max(mean, float(p90)), text)

    def decide(self, block_ids: Tokens, view: View) -> int:
        """Return how many leading blocks some tier holds."""
        stored = (view.stored_in(int(block)) is not None for block in block_ids)
        return next((i for i, held in enumerate(stored) if not held), len(block_ids))
