"""Least recently used.

Every miss is inserted at the front, every hit moves there, the last block goes. There are no ties,
so the miss counts are those of any exact LRU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tierlab.policies.cache.lists import AHEAD, last_free, move_front, push_front, run_front, unlink
from tierlab.policies.cache.state import State
from tierlab.policies.cache.verbs import Kept, Verbs

QUEUE = 1


def find(s: State, slot: int) -> bool:
    """Move a cached block to the front."""
    if s.where[slot] <= 0:
        return False
    move_front(s, QUEUE, slot)
    return True


def evict(s: State) -> int:
    """Drop the block whose last use is longest ago."""
    slot = last_free(s, QUEUE)
    unlink(s, slot)
    s.where[slot] = 0
    return slot


def insert(s: State, slot: int) -> bool:
    """Put a new block at the front."""
    push_front(s, QUEUE, slot)
    s.where[slot] = QUEUE
    return True


def remove(s: State, slot: int) -> None:
    """Take a block out of the queue."""
    unlink(s, slot)


def uses(s: State, slots: Any) -> None:
    """Move those blocks that are cached to the front, the last first; runs move at once.

    A prompt that was used before stands in the queue as it is.
    """
    i = len(slots) - 1
    while i >= 0:
        last = slots[i]
        if s.where[last] > 0:
            while i > 0 and s.link[slots[i], AHEAD] == slots[i - 1]:
                i -= 1
            run_front(s, QUEUE, slots[i], last)
        i -= 1


def rise(s: State, slot: int, parents: Any) -> None:
    """Move a block and those before it, while they are cached, to the front; runs move at once."""
    while slot != 0 and s.where[slot] > 0:
        last = slot
        while parents[slot] != 0 and s.link[slot, AHEAD] == parents[slot]:
            slot = parents[slot]
        run_front(s, QUEUE, slot, last)
        slot = parents[slot]


@dataclass(frozen=True)
class Lru(Kept):
    """Keep the most recently used blocks."""

    name: ClassVar[str] = "lru"
    paper: ClassVar[str] = "Mattson et al., Evaluation techniques for storage hierarchies, 1970"
    verbs: ClassVar[Verbs] = Verbs(
        find, evict, insert, remove=remove, uses=uses, rise=rise, used=False
    )
