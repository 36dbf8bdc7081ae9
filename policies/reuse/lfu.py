"""Least frequently used, in constant time.

One list holds all blocks by frequency; among equal frequencies the block that reached its
frequency first is nearest to the end and goes first. A block that leaves is forgotten: it comes
back with frequency 1. Both rules are libCacheSim's, so its miss counts are equal.

A frequency's blocks stand together. Each names a node; the node names the frequency's newest
block, the one nearest to the front. Nodes are numbered by slots: a node is free when its
frequency has no block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.lists import AHEAD, BEHIND, insert_behind, last_free, unlink
from tierlab.policies.cache.state import R0, R1, State
from tierlab.policies.cache.verbs import Kept, Verbs

QUEUE = 1
NODE, NEWEST = 0, 1  # columns of aux: a block's node; a node's newest block
FREE, NODES = R0, R1  # registers: first free node (chained through NEWEST), nodes ever used


def find(s: State, slot: int) -> bool:
    """Count a use, and move the block to the front of its new frequency."""
    if s.where[slot] <= 0:
        return False
    used = s.used[slot] + 1
    place = s.link[_newest(s, slot), AHEAD]
    if place != QUEUE and s.used[place] == used:
        place = s.link[_newest(s, place), AHEAD]
    _leave(s, slot)
    _join(s, slot, used, place)
    return True


def evict(s: State) -> int:
    """Drop the block used least often; of equals, the one that came to its count first."""
    slot = last_free(s, QUEUE)
    _leave(s, slot)
    s.where[slot] = 0
    return slot


def insert(s: State, slot: int) -> bool:
    """Put a new block in front of the others that were used once."""
    place = s.link[QUEUE, AHEAD]
    if place != QUEUE and s.used[place] == 1:
        place = s.link[_newest(s, place), AHEAD]
    s.where[slot] = QUEUE
    _join(s, slot, 1, place)
    return True


def _newest(s: State, slot: int) -> int:
    """Return the newest block with a block's frequency."""
    return int(s.aux[s.aux[slot, NODE], NEWEST])


def _join(s: State, slot: int, used: int, place: int) -> None:
    """Put a block behind `place` as the newest of its frequency."""
    insert_behind(s, place, slot)
    s.used[slot] = used
    behind = s.link[slot, BEHIND]
    if behind != QUEUE and s.used[behind] == used:
        s.aux[slot, NODE] = s.aux[behind, NODE]
    else:
        s.aux[slot, NODE] = _new_node(s)
    s.aux[s.aux[slot, NODE], NEWEST] = slot


def _leave(s: State, slot: int) -> None:
    """Take a block out of its frequency."""
    node, behind = s.aux[slot, NODE], s.link[slot, BEHIND]
    if s.aux[node, NEWEST] == slot:
        if behind != QUEUE and s.used[behind] == s.used[slot]:
            s.aux[node, NEWEST] = behind
        else:
            s.aux[node, NEWEST] = s.reg[FREE]
            s.reg[FREE] = node
    unlink(s, slot)


def _new_node(s: State) -> int:
    node = s.reg[FREE]
    if node == 0:
        s.reg[NODES] += 1
        return int(s.reg[NODES])
    s.reg[FREE] = s.aux[node, NEWEST]
    return int(node)


def remove(s: State, slot: int) -> None:
    """Take a block out of its frequency."""
    _leave(s, slot)


@dataclass(frozen=True)
class Lfu(Kept):
    """Keep the most often used blocks."""

    name: ClassVar[str] = "lfu"
    paper: ClassVar[str] = (
        "Shah, Mitra and Matani, An O(1) algorithm for implementing the LFU cache eviction "
        "scheme, 2010"
    )
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove, aux=True)
