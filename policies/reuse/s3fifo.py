"""S3-FIFO: a small queue for new blocks, a main queue, and a ghost queue of ids.

As in libCacheSim's S3FIFO: the small queue has a tenth of the blocks (rounded down), the ghost
nine tenths. Before the first eviction, misses go to the main queue once the small one is full. A
block leaves the small queue for the main one, with its count at 0, if it was used at least twice
there, else for the ghost. A used block goes around the main queue again with min(count, 3) - 1.
The main queue is evicted from when it is over its share or the small one is empty. With fewer
than 20 blocks the small queue would hold one block or none; then nothing is admitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.lists import AHEAD, last_free, push_front, unlink
from tierlab.policies.cache.state import CAPACITY, R0, R1, R2, R3, R4, R5, R6, State
from tierlab.policies.cache.verbs import Kept, Verbs

SMALL, MAIN, GHOST = 1, 2, 3
N_SMALL, N_MAIN, N_GHOST, MAX_SMALL, MAX_GHOST = R0, R1, R2, R3, R4
RETURNED, EVICTED = R5, R6  # the missed block was a ghost; anything was evicted yet
PROMOTE_AFTER, MOST = 2, 3


def find(s: State, slot: int) -> bool:
    """Count a use; a ghost leaves the ghost queue and will enter the main one."""
    where = s.where[slot]
    s.reg[RETURNED] = where == -GHOST
    if where > 0:
        s.used[slot] += 1
        return True
    if where == -GHOST:
        unlink(s, slot)
        s.where[slot] = 0
        s.reg[N_GHOST] -= 1
    return False


def insert(s: State, slot: int) -> bool:
    """Put a new block into the small queue, one that returned into the main queue."""
    s.used[slot] = 0
    if s.reg[RETURNED]:
        _enter(s, slot, MAIN)
        return True
    if s.reg[MAX_SMALL] <= 1:
        return False
    full = s.reg[N_SMALL] >= s.reg[MAX_SMALL]
    _enter(s, slot, MAIN if full and not s.reg[EVICTED] else SMALL)
    return True


def _enter(s: State, slot: int, queue: int) -> None:
    push_front(s, queue, slot)
    s.where[slot] = queue
    s.reg[N_SMALL if queue == SMALL else N_MAIN] += 1


def evict(s: State) -> int:
    """Evict one block, or promote the last ones of the small queue."""
    s.reg[EVICTED] = 1
    over = s.reg[N_MAIN] > s.reg[CAPACITY] - s.reg[MAX_SMALL]
    small = last_free(s, SMALL)
    if small == 0 or (over and last_free(s, MAIN) != 0):
        return _evict_main(s)
    return _evict_small(s, small)


def _evict_small(s: State, slot: int) -> int:
    while slot != 0:
        unlink(s, slot)
        s.reg[N_SMALL] -= 1
        if s.used[slot] < PROMOTE_AFTER:
            _remember(s, slot)
            return slot
        s.used[slot] = 0
        _enter(s, slot, MAIN)
        slot = last_free(s, SMALL)
    return 0


def _remember(s: State, slot: int) -> None:
    if s.reg[N_GHOST] >= s.reg[MAX_GHOST]:
        oldest = s.link[GHOST, AHEAD]
        unlink(s, oldest)
        s.where[oldest] = 0
        s.reg[N_GHOST] -= 1
    push_front(s, GHOST, slot)
    s.where[slot] = -GHOST
    s.reg[N_GHOST] += 1


def _evict_main(s: State) -> int:
    slot = last_free(s, MAIN)
    while s.used[slot] > 0:
        s.used[slot] = min(s.used[slot], MOST) - 1
        unlink(s, slot)
        push_front(s, MAIN, slot)
        slot = last_free(s, MAIN)
    unlink(s, slot)
    s.where[slot] = 0
    s.reg[N_MAIN] -= 1
    return slot


def remove(s: State, slot: int) -> None:
    """Take a block out of its queue, without a ghost."""
    unlink(s, slot)
    s.reg[N_SMALL if s.where[slot] == SMALL else N_MAIN] -= 1


@dataclass(frozen=True)
class S3Fifo(Kept):
    """Keep blocks that come back soon: three queues, the first of them small.

    Attributes
    ----------
    small, ghost
        Shares of the capacity, in (0, 1); libCacheSim's are 0.1 and 0.9.
    """

    small: float = 0.1
    ghost: float = 0.9

    name: ClassVar[str] = "s3-fifo"
    paper: ClassVar[str] = "Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for share in (self.small, self.ghost):
            if isinstance(share, bool) or not 0 < share < 1:
                raise ValueError(f"small = {self.small}, ghost = {self.ghost}: not in (0, 1)")

    def prepare(self, state: State) -> None:
        """Divide the capacity."""
        capacity = int(state.reg[CAPACITY])
        state.reg[MAX_SMALL] = int(capacity * self.small)
        state.reg[MAX_GHOST] = max(1, int(capacity * self.ghost))
