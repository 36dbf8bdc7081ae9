"""What a tier knows of its blocks, as arrays, and what is done with them, compiled.

One entry a slot (`tierlab.policies.cache.state`); a table finds the slot of a name (`table`). The
functions are compiled for a reuse policy: its verbs take the places of those of `guarded`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.binding import Binder, Compiled
from tierlab.policies.cache import guarded
from tierlab.policies.cache.guarded import bring, pin_one
from tierlab.policies.cache.guarded import shed as evict_most
from tierlab.policies.cache.guarded import sweep as evict_stale
from tierlab.policies.cache.guarded import take as take_out
from tierlab.policies.cache.guarded import touch as use
from tierlab.policies.cache.state import NOW, SlotArray, State
from tierlab.simulator.tiers.table import NUMBER, enter, find
from tierlab.simulator.tiers.table import rebuild as fill

if TYPE_CHECKING:
    from tierlab.policies.cache.verbs import Verbs

SLOTS, ABOVE, GONE = range(3)
"""Rows of the scratch that `admit` works in."""
NAME, PARENT, DEPTH = range(3)
"""Rows of what `describe` writes."""


class Book(NamedTuple):
    """The blocks of one tier; arrays of length n have one entry a slot.

    Attributes
    ----------
    state
        What the reuse policy keeps.
    parents
        int32[n], the slot of the block before.
    guard, pins
        int32[n], see `guarded`.
    names, depth
        int64[n] and int32[n], a block's name, and how many of the tier's come before it; one
        entry where nobody asks for the depth, which is then 0.
    ready
        int8[n], whether it can be hit.
    places
        int32, a power of two long: the table.
    free
        int64[2]: how many slots have no name, and the first of them (`table`).
    """

    state: State
    parents: SlotArray
    guard: SlotArray
    pins: SlotArray
    names: NDArray[np.int64]
    depth: SlotArray
    ready: NDArray[np.int8]
    places: SlotArray
    free: NDArray[np.int64]


def held(b: Book, ids: Any, out: Any) -> int:
    """Write to `out` which names are cached and ready, or on their way in; return how many."""
    number = 0
    for i in range(len(ids)):
        slot = find(b.places, b.names, ids[i])
        out[i] = b.state.where[slot] > 0 and (b.ready[slot] != 0 or b.pins[slot] > 0)
        number += out[i]
    return number


def ready(b: Book, ids: Any, out: Any) -> int:
    """Write to `out` which names can be hit; return how many."""
    number = 0
    for i in range(len(ids)):
        slot = find(b.places, b.names, ids[i])
        out[i] = b.state.where[slot] > 0 and b.ready[slot] > 0
        number += out[i]
    return number


def leading(b: Book, ids: Any) -> int:
    """Return how many leading names can be hit."""
    for i in range(len(ids)):
        slot = find(b.places, b.names, ids[i])
        if b.state.where[slot] <= 0 or b.ready[slot] == 0:
            return i
    return len(ids)


def first_ready(b: Book, ids: Any) -> int:
    """Return the place of the first name that can be hit, or how many there are."""
    for i in range(len(ids)):
        slot = find(b.places, b.names, ids[i])
        if b.state.where[slot] > 0 and b.ready[slot] != 0:
            return i
    return len(ids)


def look(b: Book, ids: Any, out: Any) -> None:
    """Write the slot of every name to `out`, 0 where it has none."""
    for i in range(len(ids)):
        out[i] = find(b.places, b.names, ids[i])


def touch(b: Book, ids: Any, out: Any, now_s: float) -> None:
    """Count a use of those blocks that are cached, the last first; `out` is scratch."""
    look(b, ids, out)
    use(b.state, out, now_s)


def pin(b: Book, ids: Any, out: Any) -> None:
    """Pin blocks by name; write their slots to `out`."""
    look(b, ids, out)
    shift(b, out, 1)


def shift(b: Book, slots: Any, step: int) -> None:
    """Pin blocks (step = 1) or let them go (step = -1), cached or not."""
    for i in range(len(slots)):
        pin_one(b.state, slots[i], b.parents, b.guard, b.pins, step)


def arrive(b: Book, slots: Any) -> None:
    """Let blocks that were on their way in be hit; they keep their pin."""
    for i in range(len(slots)):
        b.ready[slots[i]] = 1


def describe(b: Book, slots: Any, out: Any) -> None:
    """Write the names, the parents' names and the depths of blocks to the rows of `out`."""
    for i in range(len(slots)):
        out[NAME, i] = b.names[slots[i]]
        out[PARENT, i] = b.names[b.parents[slots[i]]]
        out[DEPTH, i] = b.depth[slots[i]] if len(b.depth) > 1 else 0


def admit(
    b: Book, ids: Any, above: Any, depth: Any, now_s: float, again: bool, work: Any, coming: Any
) -> tuple[int, int]:
    """Reserve space for blocks, pin those that come; return how many come and were evicted.

    Where slots for their names lack, nothing happens, and the result is (-1, slots that lack).

    Parameters
    ----------
    above, depth
        Names of the blocks before them, 0 where there is none; how many come before.
    work
        int32[3, len(ids)]; in the end row `GONE` has the slots that were evicted, and row
        `SLOTS` those of all blocks.
    coming, again
        As for `guarded.bring`.
    """
    count = len(ids)
    others = 1
    for i in range(1, count):
        if above[i] != ids[i - 1]:
            others = count
    if b.free[NUMBER] < count + others:
        return -1, count + others
    slots, parents, gone = work[SLOTS], work[ABOVE], work[GONE]
    enter(b.places, b.names, b.parents, b.free, ids, slots, count)
    enter(b.places, b.names, b.parents, b.free, above, parents, others)
    for i in range(count):
        if i >= others:
            parents[i] = slots[i - 1]
        elif above[i] == 0:
            parents[i] = 0
        if len(b.depth) > 1:
            b.depth[slots[i]] = depth[i]
    b.state.real[NOW] = now_s
    evicted = bring(
        b.state, slots, parents, b.parents, b.guard, b.pins, b.ready, coming, gone, again
    )
    came = 0
    for i in range(count):
        came += coming[i]
    return came, evicted


def note(b: Book, ids: Any, work: Any, coming: Any) -> int:
    """Count one use of each name in `Book.depth`, which starts at 0; return how many slots lack."""
    count = len(ids)
    if b.free[NUMBER] < count:
        return count
    slots, parents, gone = work[SLOTS], work[ABOVE], work[GONE]
    enter(b.places, b.names, b.parents, b.free, ids, slots, count)
    for i in range(count):
        parents[i] = 0
        if b.state.where[slots[i]] <= 0:
            b.depth[slots[i]] = 0
    bring(b.state, slots, parents, b.parents, b.guard, b.pins, b.ready, coming, gone, False)
    for i in range(count):
        b.ready[slots[i]] = 1
        b.depth[slots[i]] += 1
        if coming[i]:
            pin_one(b.state, slots[i], b.parents, b.guard, b.pins, -1)
    return 0


def shed(b: Book, gone: Any) -> int:
    """Evict up to ``len(gone)`` blocks; return how many went."""
    return evict_most(b.state, b.parents, gone)


def sweep(b: Book, gone: Any, now_s: float) -> int:
    """Evict what has outlived its time; return how many blocks went."""
    return evict_stale(b.state, b.parents, gone, now_s)


def take(b: Book, slots: Any) -> None:
    """Remove these blocks, which are cached."""
    take_out(b.state, slots, b.parents, b.guard)


def rebuild(b: Book) -> None:
    """Fill the table, which is empty, with the slots in use, and list the others."""
    fill(b.state.where, b.state.hold, b.places, b.names, b.parents, b.free)


def whole(b: Book, gone: Any, slots: Any, blocks: int, out: Any) -> None:
    """Write to `out` whether the blocks before each slot, up to `blocks` with it, are there.

    Those in `gone` left just now and still count.
    """
    for i in range(len(slots)):
        slot = b.parents[slots[i]]
        out[i] = True
        for _ in range(blocks - 1):
            there = b.state.where[slot] > 0 or gone[slot] != 0
            if slot == 0 or b.ready[slot] == 0 or not there:
                out[i] = False
                break
            slot = b.parents[slot]


def ancestors(b: Book, slots: Any, steps: int, out: Any) -> None:
    """Write to `out` the slot so many parents up from each slot; 0 where it is not known."""
    for i in range(len(slots)):
        slot = slots[i]
        for _ in range(steps):
            slot = b.parents[slot]
        out[i] = slot


_FUNCTIONS = (
    held,
    ready,
    leading,
    first_ready,
    look,
    touch,
    pin,
    shift,
    arrive,
    describe,
    admit,
    note,
    shed,
    sweep,
    take,
    rebuild,
    whole,
    ancestors,
)


@cache
def book_functions(verbs: Verbs, kind: Any) -> dict[str, Compiled]:
    """Return this module's functions for a policy and the type of its `Held` book, by name.

    Each is compiled when first called.
    """
    names = ("find", "evict", "insert", "stale", "remove", "uses", "rise")
    swaps = {name: own for name in names if (own := getattr(verbs, name)) is not None}
    binder = Binder(guarded.__name__, swaps)
    return {each.__name__: binder.entry(each, (kind,)) for each in _FUNCTIONS}
