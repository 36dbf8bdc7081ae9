"""Least recently used.

Every miss is inserted at the front, every hit moves there, the last block goes. There are no ties,
so the miss counts are those of any exact LRU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.lists import last_free, move_front, push_front, unlink
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


@dataclass(frozen=True)
class Lru(Kept):
    """Keep the most recently used blocks."""

    name: ClassVar[str] = "lru"
    paper: ClassVar[str] = "Mattson et al., Evaluation techniques for storage hierarchies, 1970"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove)
