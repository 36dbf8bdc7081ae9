"""One tier: its store, its counts, and how its blocks lie over the engine's."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.tiers.history import History
from tierlab.simulator.tiers.spec import TierSpec
from tierlab.simulator.tiers.store import NO_PARENT, Blocks, Ints, Store
from tierlab.simulator.tiers.tracker import Tracker


@dataclass
class Counts:
    """What happened in a tier, in blocks of that tier unless the name says otherwise.

    Attributes
    ----------
    hit_tokens, hit_bytes, loads
        Loaded to HBM from here: tokens, physical bytes, and loads that took part here.
    stored, stored_bytes
        Blocks that came, by whatever copy; their physical bytes.
    promoted, prefetched, demoted
        Of these: came from below after a hit; ahead of one; from above as evicted.
    refused
        Offered, but all space was pinned or on its way, or the policy admits none.
    filtered
        Not offered: too few requests asked for them so far.
    evicted, expired
        Left for others; outlived their time.
    lost
        Evicted here and not taken by the tier below, though it is written back.
    moved_up
        Left an exclusive tier for a faster one.
    cancelled
        Were on their way and did not come.
    """

    hit_tokens: int = 0
    hit_bytes: float = 0.0
    loads: int = 0
    stored: int = 0
    stored_bytes: float = 0.0
    promoted: int = 0
    prefetched: int = 0
    demoted: int = 0
    refused: int = 0
    filtered: int = 0
    evicted: int = 0
    expired: int = 0
    lost: int = 0
    moved_up: int = 0
    cancelled: int = 0

    def row(self) -> dict[str, float]:
        """Return the counts by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Tier:
    """A tier of one replica, or of all."""

    def __init__(self, spec: TierSpec, engine_tokens: int, deep: bool = True) -> None:
        self.spec, self.counts = spec, Counts()
        self.blocks = spec.block_tokens // engine_tokens
        where = f"tiers.{spec.name}.capacity"
        self.store = Store(spec.eviction, spec.capacity_blocks, where, deep)
        counted = max(spec.store_after_uses, spec.promote_after_uses) > 1
        self.tracker = Tracker(spec.tracked, f"tiers.{spec.name}.tracked") if counted else None
        self.staged = 0
        self.history, self.noted = History(), (-1, -1)
        self.takes_all = spec.inclusive and spec.store_after_uses <= 1

    def ids(self, names: Ints, first: int = 0, last: int | None = None) -> Ints:
        """Return the tier's names for its blocks first <= block < last of a prompt."""
        return names[self.blocks - 1 :: self.blocks][first:last]

    def chain(self, names: Ints, first: int, last: int) -> Blocks:
        """Return those blocks with their parents."""
        ids = self.ids(names, max(first - 1, 0), last)
        parents = ids[:-1] if first else np.append(NO_PARENT, ids[:-1])
        return Blocks(ids[1:] if first else ids, parents, np.arange(first, first + len(parents)))

    def reach(self, names: Ints, start: int, stop: int) -> int:
        """Return the engine block up to which the tier has all from `start` on."""
        first = start // self.blocks
        return min((first + self.store.leading(self.ids(names, first))) * self.blocks, stop)

    def next_ready(self, names: Ints, start: int, stop: int) -> int:
        """Return the first engine block in start < block < stop that the tier has, or `stop`.

        It lacks the block that holds `start`.
        """
        first = start // self.blocks + 1
        last = -(-stop // self.blocks)
        if first >= last:
            return stop
        return min(
            (first + self.store.first_ready(self.ids(names, first, last))) * self.blocks, stop
        )

    def used_enough(self, ids: Ints, uses: int) -> NDArray[np.bool_]:
        """Return which blocks at least so many requests asked for."""
        if uses <= 1 or self.tracker is None:
            return np.ones(len(ids), np.bool_)
        out: NDArray[np.bool_] = self.tracker.uses(ids) >= uses
        return out

    def over_watermark(self) -> int:
        """Return how many blocks to evict because the tier is fuller than it may be."""
        spec, capacity = self.spec, self.store.capacity
        if spec.evict_share and len(self.store) > spec.high_watermark * capacity:
            return max(int(spec.evict_share * capacity), 1)
        return 0

    def occupancy(self) -> dict[str, float]:
        """Return blocks, and logical and physical bytes, that are held now."""
        blocks = len(self.store)
        physical = blocks * self.spec.block_bytes
        return {
            "blocks": blocks,
            "guarded_blocks": self.store.guarded,
            "capacity_blocks": self.store.capacity,
            "physical_bytes": physical,
            "logical_bytes": physical * self.spec.compression,
            "capacity_bytes": self.spec.capacity_bytes,
            "staged_bytes": self.staged * self.spec.block_bytes,
        }
