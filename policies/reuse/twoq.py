"""2Q: a FIFO of new blocks, an LRU of blocks that came back, and ids that left the FIFO.

The shares are the paper's and libCacheSim's: the FIFO has a quarter of the blocks, its ghosts are
as many as half of them, both rounded down. A hit in the FIFO moves nothing. The FIFO is evicted
from while it is over its share, else the LRU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.lists import AHEAD, last_free, move_front, push_front, unlink
from tierlab.policies.cache.state import CAPACITY, R0, R1, R2, R3, R4, R5, State
from tierlab.policies.cache.verbs import Kept, Verbs

IN, MAIN, OUT = 1, 2, 3
N_IN, N_MAIN, N_OUT, MAX_IN, MAX_OUT, RETURNED = R0, R1, R2, R3, R4, R5


def find(s: State, slot: int) -> bool:
    """Move a block of the LRU to its front; a ghost is forgotten and will enter the LRU."""
    where = s.where[slot]
    s.reg[RETURNED] = where == -OUT
    if where == MAIN:
        move_front(s, MAIN, slot)
    elif where == -OUT:
        unlink(s, slot)
        s.where[slot] = 0
        s.reg[N_OUT] -= 1
    return bool(where > 0)


def insert(s: State, slot: int) -> bool:
    """Put a new block into the FIFO, one that returned into the LRU."""
    if s.reg[RETURNED]:
        push_front(s, MAIN, slot)
        s.where[slot] = MAIN
        s.reg[N_MAIN] += 1
    else:
        push_front(s, IN, slot)
        s.where[slot] = IN
        s.reg[N_IN] += 1
    return True


def evict(s: State) -> int:
    """Evict from the FIFO while it is over its share, else from the LRU."""
    fresh, old = last_free(s, IN), last_free(s, MAIN)
    if fresh != 0 and (s.reg[N_IN] > s.reg[MAX_IN] or old == 0):
        unlink(s, fresh)
        s.reg[N_IN] -= 1
        _remember(s, fresh)
        return fresh
    unlink(s, old)
    s.where[old] = 0
    s.reg[N_MAIN] -= 1
    return old


def _remember(s: State, slot: int) -> None:
    if s.reg[N_OUT] >= s.reg[MAX_OUT]:
        oldest = s.link[OUT, AHEAD]
        unlink(s, oldest)
        s.where[oldest] = 0
        s.reg[N_OUT] -= 1
    push_front(s, OUT, slot)
    s.where[slot] = -OUT
    s.reg[N_OUT] += 1


def remove(s: State, slot: int) -> None:
    """Take a block out of the FIFO or the LRU, without a ghost."""
    unlink(s, slot)
    s.reg[N_IN if s.where[slot] == IN else N_MAIN] -= 1


@dataclass(frozen=True)
class TwoQ(Kept):
    """Keep blocks that came back after a trial period.

    Attributes
    ----------
    fresh, ghost
        Shares of the capacity, in (0, 1): of the FIFO, and as many ids as remembered.
    """

    fresh: float = 0.25
    ghost: float = 0.5

    name: ClassVar[str] = "2q"
    paper: ClassVar[str] = "Johnson and Shasha, 2Q: a low overhead buffer management, VLDB 1994"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for share in (self.fresh, self.ghost):
            if isinstance(share, bool) or not 0 < share < 1:
                raise ValueError(f"fresh = {self.fresh}, ghost = {self.ghost}: not in (0, 1)")

    def prepare(self, state: State) -> None:
        """Divide the capacity."""
        capacity = int(state.reg[CAPACITY])
        state.reg[MAX_IN] = int(capacity * self.fresh)
        state.reg[MAX_OUT] = max(1, int(capacity * self.ghost))
