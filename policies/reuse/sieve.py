"""SIEVE: a queue in order of insertion, one bit a block, and a hand that never moves a block.

The hand walks from the oldest to the newest block and around again; it clears bits and takes the
first block without one. It then stands at the next newer block. As in libCacheSim, after the
newest block it starts again at the oldest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.lists import AHEAD, push_front, unlink
from tierlab.policies.cache.state import R0, State
from tierlab.policies.cache.verbs import Kept, Verbs

QUEUE = 1
HAND = R0  # where the hand stands; 0 or QUEUE: start at the oldest


def find(s: State, slot: int) -> bool:
    """Mark a cached block as used."""
    if s.where[slot] <= 0:
        return False
    s.used[slot] = 1
    return True


def evict(s: State) -> int:
    """Move the hand to a block that was not used since it passed, and drop that block."""
    slot = s.reg[HAND]
    if slot == 0:
        slot = QUEUE
    while True:
        if slot == QUEUE:
            slot = s.link[QUEUE, AHEAD]
        if s.used[slot] == 0 and s.hold[slot] == 0:
            break
        s.used[slot] = 0
        slot = s.link[slot, AHEAD]
    s.reg[HAND] = s.link[slot, AHEAD]
    unlink(s, slot)
    s.where[slot] = 0
    return int(slot)


def insert(s: State, slot: int) -> bool:
    """Put a new block, unmarked, at the front."""
    push_front(s, QUEUE, slot)
    s.where[slot] = QUEUE
    s.used[slot] = 0
    return True


def remove(s: State, slot: int) -> None:
    """Take a block out of the queue; a hand that stands there goes on."""
    if s.reg[HAND] == slot:
        s.reg[HAND] = s.link[slot, AHEAD]
    unlink(s, slot)


@dataclass(frozen=True)
class Sieve(Kept):
    """Keep blocks that were used since a slow hand last passed."""

    name: ClassVar[str] = "sieve"
    paper: ClassVar[str] = "Zhang et al., SIEVE is simpler than LRU, NSDI 2024"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove)
