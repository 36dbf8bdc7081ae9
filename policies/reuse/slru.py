"""Segmented LRU: every hit moves a block one segment up, overflow moves blocks down.

Four equal segments (a fourth of the blocks, rounded down) as in libCacheSim. A new block enters
the lowest segment with room, or the lowest where none has; the last block of the lowest segment
that has any goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.lists import AHEAD, last_free, move_front, push_front, unlink
from tierlab.policies.cache.state import CAPACITY, R0, R4, State
from tierlab.policies.cache.verbs import Kept, Verbs

SEGMENTS = 4
LENGTH = R0 - 1  # LENGTH + k: register of the length of segment k = 1 .. 4
MOST = R4  # blocks of one segment


def find(s: State, slot: int) -> bool:
    """Move a block to the front of the segment above its own."""
    where = s.where[slot]
    if where <= 0:
        return False
    if where == SEGMENTS:
        move_front(s, SEGMENTS, slot)
        return True
    _leave(s, slot)
    _enter(s, slot, where + 1)
    _cool(s, where + 1)
    return True


def _cool(s: State, segment: int) -> None:
    """Move the last block of a segment that is over its share down, and so on."""
    while segment > 1 and s.reg[LENGTH + segment] > s.reg[MOST]:
        slot = s.link[segment, AHEAD]
        _leave(s, slot)
        segment -= 1
        _enter(s, slot, segment)


def insert(s: State, slot: int) -> bool:
    """Put a new block into the lowest segment with room."""
    segment = 1
    for k in range(SEGMENTS, 0, -1):
        if s.reg[LENGTH + k] < s.reg[MOST]:
            segment = k
    _enter(s, slot, segment)
    return True


def evict(s: State) -> int:
    """Drop the last block of the lowest segment that has one."""
    slot = 0
    for k in range(SEGMENTS, 0, -1):
        last = last_free(s, k)
        if last != 0:
            slot = last
    _leave(s, slot)
    s.where[slot] = 0
    return slot


def _leave(s: State, slot: int) -> None:
    unlink(s, slot)
    s.reg[LENGTH + s.where[slot]] -= 1


def _enter(s: State, slot: int, segment: int) -> None:
    push_front(s, segment, slot)
    s.where[slot] = segment
    s.reg[LENGTH + segment] += 1


def remove(s: State, slot: int) -> None:
    """Take a block out of its segment."""
    _leave(s, slot)


@dataclass(frozen=True)
class Slru(Kept):
    """Keep blocks by how often they were hit lately, in four LRU segments."""

    name: ClassVar[str] = "slru"
    paper: ClassVar[str] = "Karedla, Love and Wherry, Caching strategies, IEEE Computer 27, 1994"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove)

    def prepare(self, state: State) -> None:
        """Divide the capacity."""
        state.reg[MOST] = int(state.reg[CAPACITY]) // SEGMENTS
