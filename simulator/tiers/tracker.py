"""How many requests asked for a block, remembered for a bounded number of blocks.

vLLM's `FilterReusedOffloadingManager` and SGLang's ``hit_count`` count so before they write a
block; vLLM forgets the least recently used beyond ``max_tracker_size`` (64,000).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.policies.reuse.lru import Lru
from tierlab.simulator.tiers.store import Ints, Store


class Tracker(Store):
    """Counts of uses by name; here the depth of a block is its count."""

    def __init__(self, entries: int, where: str) -> None:
        super().__init__(Lru(), entries, where)

    def note(self, ids: Ints) -> None:
        """Count one use of each block; where not all fit, of the leading ones."""
        ids = np.ascontiguousarray(ids[: self.capacity], np.int64)
        work, coming = np.empty((3, len(ids)), np.int32), np.empty(len(ids), np.bool_)
        lacks = self._do["note"](self._at, ids, work, coming)
        if lacks:
            self._make_room(lacks)
            self._do["note"](self._at, ids, work, coming)

    def uses(self, ids: Ints) -> NDArray[np.int64]:
        """Return how often each block was asked for, 0 where that is not remembered."""
        slots, book = self.slots(ids), self._book
        out: NDArray[np.int64] = np.where(book.state.where[slots] > 0, book.depth[slots], 0)
        return out
