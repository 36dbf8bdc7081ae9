"""Greedy dual size frequency: priority = clock + frequency x cost / size.

The clock is the priority of the last block evicted. Blocks have one size and one cost, so the
priority is clock + frequency: LFU whose old favourites fade. Among equal priorities the block that
got its own first goes first. Room is made before a block is inserted, as in the paper; libCacheSim
inserts first, at the older clock, and may evict the new block itself, so its miss counts differ by
up to 1.5%. Priorities stand in a binary heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.heap import take, top, update
from tierlab.policies.cache.state import F0, R1, State
from tierlab.policies.cache.verbs import Kept, Verbs

CACHED = 1
CLOCK, TICKS = F0, R1  # the last priority evicted; uses so far, which order equal priorities


def find(s: State, slot: int) -> bool:
    """Count a use and raise the priority."""
    if s.where[slot] <= 0:
        return False
    s.used[slot] += 1
    _rank(s, slot)
    return True


def insert(s: State, slot: int) -> bool:
    """Take a new block with frequency 1."""
    s.where[slot] = CACHED
    s.used[slot] = 1
    _rank(s, slot)
    return True


def _rank(s: State, slot: int) -> None:
    s.reg[TICKS] += 1
    update(s, slot, s.real[CLOCK] + s.used[slot], float(s.reg[TICKS]))


def evict(s: State) -> int:
    """Drop the block with the least priority."""
    slot = top(s)
    s.real[CLOCK] = s.key[slot, 0]
    take(s, slot)
    s.where[slot] = 0
    return slot


def remove(s: State, slot: int) -> None:
    """Take a block out of the heap."""
    take(s, slot)


@dataclass(frozen=True)
class Gdsf(Kept):
    """Keep blocks used often and lately: frequency that fades with every eviction."""

    name: ClassVar[str] = "gdsf"
    paper: ClassVar[str] = "Cherkasova, Improving WWW proxies performance with GDSF, HPL-98-69"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove, aux=True, key=True)
