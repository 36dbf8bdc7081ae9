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
        slots = self._enter(ids[: self.capacity])
        self._depth[slots[self._state.where[slots] <= 0]] = 0
        roots, gone = np.zeros_like(slots), np.empty(len(slots), np.int32)
        coming = np.empty(len(slots), np.bool_)
        self._loops.bring(
            self._state,
            slots,
            roots,
            self._parents,
            self._guard,
            self._pins,
            self._ready,
            coming,
            gone,
            False,
        )
        self._ready[slots] = 1
        self._pin(slots[coming], -1)
        self._depth[slots] += 1

    def uses(self, ids: Ints) -> NDArray[np.int64]:
        """Return how often each block was asked for, 0 where that is not remembered."""
        slots = self._look(ids)
        out: NDArray[np.int64] = np.where(self._state.where[slots] > 0, self._depth[slots], 0)
        return out
