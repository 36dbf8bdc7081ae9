"""Names of blocks to slots of a tier, compiled; slots that hold nothing any more are used again.

Memory therefore follows a tier's capacity, not the number of names that ever came by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from tierlab.policies.cache.state import SLOT0

_MIX = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: Fibonacci hashing (Knuth, The Art of Computer Programming 6.4)."""


_LINE = 15
"""Names that differ in these bits alone stand side by side: a prompt's blocks are often numbered
one after the other, and then 16 of them share a cache line."""


@njit(cache=True)
def _place(slots: Any, names: Any, name: Any) -> Any:
    """Return the place of a name, or the free place where it belongs."""
    mask = len(slots) - 1
    mixed = np.uint64(name >> 4) * _MIX
    at = ((np.int64(mixed >> np.uint64(20)) << 4) | (name & _LINE)) & mask
    while slots[at] != 0 and names[slots[at]] != name:
        at = (at + 1) & mask
    return at


@njit(cache=True)
def look(slots: Any, names: Any, ids: Any, out: Any) -> None:
    """Write the slot of every name to `out`, 0 where it has none."""
    for i in range(len(ids)):
        out[i] = slots[_place(slots, names, ids[i])]


@njit(cache=True)
def enter(slots: Any, names: Any, free: Any, left: Any, ids: Any, out: Any) -> Any:
    """Write the slot of every name to `out`; new names take the last of ``free[:left]``.

    Returns how many free slots are left; there must be enough.
    """
    for i in range(len(ids)):
        at = _place(slots, names, ids[i])
        if slots[at] == 0:
            left -= 1
            slots[at] = free[left]
            names[free[left]] = ids[i]
        out[i] = slots[at]
    return left


@njit(cache=True)
def rebuild(where: Any, hold: Any, slots: Any, names: Any, free: Any) -> Any:
    """Fill an empty table with the slots in use, list the others in `free`, return their number.

    A slot is in use while its block is cached, is a ghost of the policy, is pinned, or is the
    parent of a cached block.
    """
    left = 0
    for slot in range(len(where) - 1, SLOT0 - 1, -1):
        if where[slot] == 0 and hold[slot] == 0:
            free[left] = slot
            left += 1
        else:
            slots[_place(slots, names, names[slot])] = slot
    return left


@njit(cache=True)
def held(slots: Any, names: Any, where: Any, ready: Any, pins: Any, ids: Any, out: Any) -> None:
    """Write to `out` which names are cached and ready, or still on their way in."""
    for i in range(len(ids)):
        slot = slots[_place(slots, names, ids[i])]
        out[i] = where[slot] > 0 and (ready[slot] != 0 or pins[slot] > 0)


@njit(cache=True)
def leading(slots: Any, names: Any, where: Any, ready: Any, ids: Any) -> Any:
    """Return how many leading names are cached and ready."""
    for i in range(len(ids)):
        slot = slots[_place(slots, names, ids[i])]
        if slot == 0 or where[slot] <= 0 or ready[slot] == 0:
            return i
    return len(ids)


@njit(cache=True)
def first_ready(slots: Any, names: Any, where: Any, ready: Any, ids: Any) -> Any:
    """Return the place of the first name that is cached and ready, or how many there are."""
    for i in range(len(ids)):
        slot = slots[_place(slots, names, ids[i])]
        if slot != 0 and where[slot] > 0 and ready[slot] != 0:
            return i
    return len(ids)


@njit(cache=True)
def ancestors(parents: Any, slots: Any, steps: Any, out: Any) -> None:
    """Write to `out` the slot so many parents up from each slot; 0 where it is not known."""
    for i in range(len(slots)):
        slot = slots[i]
        for _ in range(steps):
            slot = parents[slot]
        out[i] = slot


@njit(cache=True)
def whole(
    where: Any, ready: Any, gone: Any, parents: Any, slots: Any, blocks: Any, out: Any
) -> None:
    """Write to `out` whether the blocks before each slot, up to `blocks` with it, are there.

    Those in `gone` left just now and still count.
    """
    for i in range(len(slots)):
        slot = parents[slots[i]]
        out[i] = True
        for _ in range(blocks - 1):
            if slot == 0 or ready[slot] == 0 or (where[slot] <= 0 and gone[slot] == 0):
                out[i] = False
                break
            slot = parents[slot]
