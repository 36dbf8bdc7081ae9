"""Names of blocks to slots of a tier; slots that hold nothing any more are used again.

Memory therefore follows a tier's capacity, not the number of names that ever came by. Plain
functions, compiled into those of `book`.
"""

from __future__ import annotations

from typing import Any

from tierlab.policies.cache.state import SLOT0

_MIX = -7046029254386353131
"""2**64 over the golden ratio: Fibonacci hashing (Knuth, The Art of Computer Programming 6.4)."""


_LINE = 15
"""Names that differ in these bits alone stand side by side: a prompt's blocks are often numbered
one after the other, and then 16 of them share a cache line."""


def place(places: Any, names: Any, name: int) -> int:
    """Return the place of a name, or the free place where it belongs."""
    mask = len(places) - 1
    mixed = (name >> 4) * _MIX
    at = (((mixed >> 20) << 4) | (name & _LINE)) & mask
    while places[at] != 0 and names[places[at]] != name:
        at = (at + 1) & mask
    return at


def find(places: Any, names: Any, name: int) -> int:
    """Return the slot of a name, 0 if it has none."""
    slot: int = places[place(places, names, name)]
    return slot


NUMBER, FIRST = 0, 1
"""How many slots are free, and the first of them. A free slot's parent is the next free one."""


def enter(places: Any, names: Any, parents: Any, free: Any, ids: Any, out: Any, count: int) -> None:
    """Write the slots of the first `count` names to `out`; new names take free ones."""
    for i in range(count):
        at = place(places, names, ids[i])
        if places[at] == 0:
            slot = free[FIRST]
            free[FIRST] = parents[slot]
            free[NUMBER] -= 1
            parents[slot] = 0
            places[at] = slot
            names[slot] = ids[i]
        out[i] = places[at]


def rebuild(where: Any, hold: Any, places: Any, names: Any, parents: Any, free: Any) -> None:
    """Fill an empty table with the slots in use, and list the others as free.

    A slot is in use while its block is cached, is a ghost of the policy, is pinned, or is the
    parent of a cached block.
    """
    free[NUMBER], free[FIRST] = 0, 0
    for slot in range(len(where) - 1, SLOT0 - 1, -1):
        if where[slot] == 0 and hold[slot] == 0:
            parents[slot] = free[FIRST]
            free[FIRST] = slot
            free[NUMBER] += 1
        else:
            places[place(places, names, names[slot])] = slot
