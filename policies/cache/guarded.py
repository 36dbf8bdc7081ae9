"""The verbs over a tier that is no whole prefix: its blocks come and go one by one, and in flight.

A tier that gets what another evicts holds leaves without their parents, so pins do not reach up to
a root. Two counts a slot keep evictions sound all the same. `State.hold` counts the pins and the
cached children of a block: a policy takes none that has any. `guard` counts its pins and those of
its cached children that have a guard themselves. Then register ``HELD`` (cached blocks with a
guard) is exactly what no eviction can reach, and while ``SIZE > HELD`` some leaf can go.
"""

from __future__ import annotations

from typing import Any

from tierlab.policies.cache.state import CAPACITY, HELD, NOW, SIZE, State
from tierlab.policies.cache.verbs import never as stale
from tierlab.policies.cache.verbs import stays as remove
from tierlab.policies.reuse.nothing import evict, find, insert


def lift(s: State, parents: Any, guard: Any, slot: int, step: int) -> None:
    """Change a block's guard by one; where it begins or ends, its parent's changes too."""
    while slot != 0:
        before = guard[slot] > 0
        guard[slot] += step
        after = guard[slot] > 0
        if before == after or s.where[slot] <= 0:
            return
        s.reg[HELD] += step
        slot = parents[slot]


def pin(s: State, slots: Any, parents: Any, guard: Any, pins: Any, step: int) -> None:
    """Pin blocks (step = 1) or let them go (step = -1), cached or not."""
    for slot in slots:
        pin_one(s, slot, parents, guard, pins, step)


def pin_one(s: State, slot: int, parents: Any, guard: Any, pins: Any, step: int) -> None:
    """Pin one block or let it go."""
    pins[slot] += step
    s.hold[slot] += step
    lift(s, parents, guard, slot, step)


def touch(s: State, slots: Any, now_s: float) -> None:
    """Count a use of those blocks that are cached, the last first."""
    s.real[NOW] = now_s
    uses(s, slots)


def uses(s: State, slots: Any) -> None:
    """Count a use of those blocks that are cached, the last first."""
    for i in range(len(slots) - 1, -1, -1):
        if s.where[slots[i]] > 0:
            find(s, slots[i])


def rise(s: State, slot: int, parents: Any) -> None:
    """Count a use of a block and of those before it, while they are cached.

    Under LRU the start of a prompt is then used last, so that the end of the list, where a policy
    looks for what can go, is leaves and not parents that are held.
    """
    while slot != 0 and s.where[slot] > 0:
        find(s, slot)
        slot = parents[slot]


def absent(s: State, slot: int, ready: Any, pins: Any) -> bool:
    """Return whether a slot is to be filled: not cached, or what it waited for is off."""
    return bool(s.where[slot] <= 0 or (ready[slot] == 0 and pins[slot] == 0))


def bring(
    s: State,
    slots: Any,
    above: Any,
    parents: Any,
    guard: Any,
    pins: Any,
    ready: Any,
    coming: Any,
    gone: Any,
    again: bool,
) -> int:
    """Reserve space for blocks and pin those that come; return how many others were evicted.

    Parameters
    ----------
    slots, above
        The blocks, the first to keep first, and their parents' slots; 0 where there is none.
    pins, ready
        Pins of every slot, and whether its block can be hit.
    coming
        bool like `slots`, the result: which of them are on their way in.
    gone
        int32 like `slots`, the result: slots that were evicted.
    again
        Whether to touch what comes before the first block too (`rise`).
    """
    for i in range(len(slots)):
        coming[i] = absent(s, slots[i], ready, pins)
    pin(s, slots, parents, guard, pins, 1)
    pin(s, above, parents, guard, pins, 1)
    evicted = admit(s, slots, fitting(s, slots), above, parents, guard, gone)
    if again and len(above) > 0:
        rise(s, above[0], parents)
    pin(s, above, parents, guard, pins, -1)
    for i in range(len(slots)):
        coming[i] = coming[i] and s.where[slots[i]] > 0
        if coming[i]:
            ready[slots[i]] = 0
        else:
            pin_one(s, slots[i], parents, guard, pins, -1)
    return evicted


def fitting(s: State, slots: Any) -> int:
    """Return how many leading blocks fit beside all that has a guard."""
    room = s.reg[CAPACITY] - s.reg[HELD]
    for i in range(len(slots)):
        room -= s.where[slots[i]] <= 0
        if room < 0:
            return i
    return len(slots)


def admit(s: State, slots: Any, count: int, above: Any, parents: Any, guard: Any, gone: Any) -> int:
    """Touch or insert the first `count` blocks, the last first; return how many were evicted.

    They and their parents are pinned, and there is room for them.
    """
    evicted = 0
    for i in range(count - 1, -1, -1):
        slot = slots[i]
        if find(s, slot):
            continue
        while s.reg[SIZE] >= s.reg[CAPACITY]:
            evicted += drop(s, parents, gone, evicted)
        if insert(s, slot):
            s.reg[SIZE] += 1
            parents[slot] = above[i]
            s.hold[above[i]] += 1
            if guard[slot] > 0:
                s.reg[HELD] += 1
                lift(s, parents, guard, above[i], 1)
    return evicted


def drop(s: State, parents: Any, gone: Any, place: int) -> int:
    """Evict once; return 1 and write the block to ``gone[place]`` if one went."""
    slot = evict(s)
    if slot <= 0:
        return 0
    s.reg[SIZE] -= 1
    s.hold[parents[slot]] -= 1
    gone[place] = slot
    return 1


def shed(s: State, parents: Any, gone: Any) -> int:
    """Evict up to ``len(gone)`` blocks; return how many went."""
    evicted = 0
    while evicted < len(gone) and s.reg[SIZE] > s.reg[HELD]:
        evicted += drop(s, parents, gone, evicted)
    return evicted


def sweep(s: State, parents: Any, gone: Any, now_s: float) -> int:
    """Set the clock and evict what has outlived its time and has no guard."""
    s.real[NOW] = now_s
    evicted = 0
    while evicted < len(gone) and s.reg[SIZE] > s.reg[HELD] and stale(s):
        evicted += drop(s, parents, gone, evicted)
    return evicted


def take(s: State, slots: Any, parents: Any, guard: Any) -> None:
    """Remove these blocks, which are cached, whatever the policy would evict."""
    for slot in slots:
        remove(s, slot)
        s.where[slot] = 0
        s.reg[SIZE] -= 1
        s.hold[parents[slot]] -= 1
        if guard[slot] > 0:
            s.reg[HELD] -= 1
            lift(s, parents, guard, parents[slot], -1)
