"""The blocks of one tier: a reuse policy, pins, and blocks that are still on their way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput, BrokenLaw
from tierlab.policies.cache.compiledguarded import guarded_loops
from tierlab.policies.cache.sim import make_state
from tierlab.policies.cache.state import CAPACITY, HELD, NOW, SIZE, SlotArray, grow
from tierlab.policies.cache.verbs import never, stays
from tierlab.simulator.tiers import table

if TYPE_CHECKING:
    from tierlab.policies.cache.verbs import BlockPolicy

Ints = NDArray[np.int64]
NO_PARENT = 0
"""Name of no block: what comes before a prompt's first block, or is not known."""
_FIRST_SLOTS = 2048
_USED_AGAIN = ("lru", "ttl")
"""Policies for which two uses at one time are one."""


class Blocks(NamedTuple):
    """Blocks with their place in the chain; arrays of one length.

    Attributes
    ----------
    ids, parents
        int64, their names and those of the blocks before them, or `NO_PARENT`.
    depth
        int64, how many of the tier's blocks come before each in its prompt.
    """

    ids: Ints
    parents: Ints
    depth: Ints

    def where(self, mask: NDArray[np.bool_]) -> Blocks:
        """Return those of them that `mask` chooses."""
        return Blocks(self.ids[mask], self.parents[mask], self.depth[mask])


NO_BLOCKS = Blocks(*(np.zeros(0, np.int64) for _ in range(3)))


class Store:
    """Blocks of one tier by name.

    Leaves go first: a block stays while one that follows it is here, or while it is pinned. A
    block is arriving from `admit` to `arrive`; it takes its space and is pinned, but is no hit.

    Raises
    ------
    BadInput
        The capacity is less than one block, or the policy needs to see ahead.
    """

    def __init__(self, policy: BlockPolicy, capacity_blocks: int, where: str) -> None:
        if capacity_blocks < 1:
            raise BadInput(where, f"room for {capacity_blocks} blocks", "capacity for 1 or more")
        if policy.verbs.future:
            raise BadInput(where, f"{policy.name!r} needs to see ahead", "a policy that does not")
        self._loops = guarded_loops(policy.verbs)
        self._expires = policy.verbs.stale is not never
        self._again = policy.name in _USED_AGAIN
        self.removes = policy.verbs.remove is not stays
        self._state = make_state(policy, capacity_blocks, _first_slots(capacity_blocks))
        slots = len(self._state.where)
        self._parents, self._guard, self._pins = np.zeros((3, slots), np.int32)
        self._names, self._depth = np.zeros(slots, np.int64), np.zeros(slots, np.int32)
        self._ready = np.zeros(slots, np.int8)
        self._index()

    def _index(self) -> None:
        """Make the table anew from the slots in use."""
        slots = len(self._state.where)
        places = 1 << int(2 * slots - 1).bit_length()
        self._slots = np.zeros(places, np.int32)
        self._free = np.empty(slots, np.int32)
        s = self._state
        self._left = int(table.rebuild(s.where, s.hold, self._slots, self._names, self._free))

    def _make_room(self, names: int) -> None:
        """See to it that so many new names find a slot."""
        if self._left >= names:
            return
        self._index()
        slots = len(self._state.where)
        if self._left < max(names, slots // 16):
            self._state = grow(self._state, slots + names)
            for array in ("_parents", "_guard", "_pins", "_names", "_depth", "_ready"):
                setattr(self, array, _longer(getattr(self, array), len(self._state.where)))
            self._index()

    def _enter(self, ids: Ints) -> SlotArray:
        self._make_room(len(ids))
        out = np.empty(len(ids), np.int32)
        self._left = int(
            table.enter(self._slots, self._names, self._free, self._left, _flat(ids), out)
        )
        return out

    def _look(self, ids: Ints) -> SlotArray:
        out = np.empty(len(ids), np.int32)
        table.look(self._slots, self._names, _flat(ids), out)
        return out

    def __len__(self) -> int:
        """Return how many blocks are cached, those on their way in among them."""
        return int(self._state.reg[SIZE])

    @property
    def capacity(self) -> int:
        """How many blocks fit."""
        return int(self._state.reg[CAPACITY])

    @property
    def guarded(self) -> int:
        """Cached blocks that are pinned or lead to one that is."""
        return int(self._state.reg[HELD])

    def leading(self, ids: Ints) -> int:
        """Return how many leading blocks can be hit; changes nothing."""
        s = self._state
        return int(table.leading(self._slots, self._names, s.where, self._ready, _flat(ids)))

    def first_ready(self, ids: Ints) -> int:
        """Return the place of the first block that can be hit, or ``len(ids)``."""
        s = self._state
        return int(table.first_ready(self._slots, self._names, s.where, self._ready, _flat(ids)))

    def held(self, ids: Ints) -> NDArray[np.bool_]:
        """Return which blocks are here or on their way in, bool like `ids`."""
        out = np.empty(len(ids), np.bool_)
        s = self._state
        table.held(self._slots, self._names, s.where, self._ready, self._pins, _flat(ids), out)
        return out

    def ready(self, ids: Ints) -> NDArray[np.bool_]:
        """Return which blocks can be hit, bool like `ids`."""
        slots = self._look(ids)
        out: NDArray[np.bool_] = (self._state.where[slots] > 0) & (self._ready[slots] > 0)
        return out

    def admit(self, blocks: Blocks, now_s: float) -> tuple[NDArray[np.bool_], Blocks]:
        """Reserve space for blocks that come, and pin them; touch those that are here.

        Where not all fit beside what has a guard, the leading ones are kept. Under LRU the blocks
        before the first are touched too.

        Returns
        -------
        coming
            bool like `blocks`: which of them are now on their way in.
        evicted
            The blocks that left, first to go first.
        """
        slots, above = self._enter_chain(blocks)
        self._state.real[NOW] = now_s
        coming, gone = np.empty(len(slots), np.bool_), np.empty(len(slots), np.int32)
        left = self._loops.bring(
            self._state,
            slots,
            above,
            self._parents,
            self._guard,
            self._pins,
            self._ready,
            coming,
            gone,
            self._again,
        )
        self._check()
        return coming, self._described(gone[:left])

    def _enter_chain(self, blocks: Blocks) -> tuple[SlotArray, SlotArray]:
        """Return the slots of blocks and of their parents, 0 for those without."""
        count = len(blocks.ids)
        follow = bool((blocks.parents[1:] == blocks.ids[:-1]).all())
        others = blocks.parents[:1] if follow else blocks.parents
        both = self._enter(np.concatenate([blocks.ids, others]))
        slots, above = both[:count], both[count:]
        above[others == NO_PARENT] = 0
        self._depth[slots] = blocks.depth
        return slots, np.concatenate([above, slots[:-1]]) if follow else above

    def _described(self, slots: SlotArray) -> Blocks:
        if not len(slots):
            return NO_BLOCKS
        return Blocks(
            self._names[slots],
            self._names[self._parents[slots]],
            self._depth[slots].astype(np.int64),
        )

    def arrive(self, ids: Ints) -> None:
        """Let blocks that were on their way in be hit, and let go of their pin."""
        slots = self._look(ids)
        self._ready[slots] = 1
        self._pin(slots, -1)

    def give_up(self, ids: Ints) -> None:
        """Let go of blocks that will not come; where the policy cannot, they fade unhit."""
        slots = self._look(ids)
        self._pin(slots, -1)
        self._take(slots)

    def remove(self, ids: Ints) -> Ints:
        """Take out those of the blocks that are here, can be hit and are not pinned.

        Returns their names. A policy that cannot remove keeps them.
        """
        slots = self._look(ids)
        here = (self._state.where[slots] > 0) & (self._ready[slots] > 0)
        return self._names[self._take(slots[here & (self._pins[slots] == 0)])]

    def _take(self, slots: SlotArray) -> SlotArray:
        slots = slots[self._state.where[slots] > 0]
        if not self.removes or not len(slots):
            return slots[:0]
        self._loops.take(self._state, slots, self._parents, self._guard)
        return slots

    def touch(self, ids: Ints, now_s: float) -> None:
        """Count a use of those blocks that are here, the last first."""
        self._loops.touch(self._state, self._look(ids), now_s)

    def pin(self, ids: Ints) -> None:
        """Keep blocks that are here until `unpin` is called as often."""
        self._pin(self._look(ids), 1)

    def unpin(self, ids: Ints) -> None:
        """Take back one `pin`."""
        self._pin(self._look(ids), -1)

    def _pin(self, slots: SlotArray, step: int) -> None:
        self._loops.pin(self._state, slots, self._parents, self._guard, self._pins, step)

    def shed(self, blocks: int) -> Blocks:
        """Evict up to so many blocks, leaves first; return them."""
        if not blocks:
            return NO_BLOCKS
        gone = np.empty(max(min(blocks, len(self) - self.guarded), 0), np.int32)
        return self._described(gone[: self._loops.shed(self._state, self._parents, gone)])

    def expire(self, now_s: float) -> Blocks:
        """Set the clock; evict what has outlived its time and is not guarded; return it."""
        if not self._expires:
            return NO_BLOCKS
        gone = np.empty(len(self) - self.guarded, np.int32)
        left = self._loops.sweep(self._state, self._parents, gone, now_s)
        return self._described(gone[:left])

    def groups(self, blocks: Blocks, size: int) -> Blocks:
        """Return the blocks of `size` of this tier's that end in some of `blocks` and are whole.

        Their parents are the blocks of `size` before them, where this tier knows them. What was
        just evicted still counts.
        """
        if size == 1:
            return blocks
        ends = blocks.where((blocks.depth + 1) % size == 0)
        slots = self._look(ends.ids)
        complete, above = np.empty(len(slots), np.bool_), np.empty(len(slots), np.int32)
        gone = np.zeros(len(self._state.where), np.int8)
        gone[self._look(blocks.ids)] = 1
        s, parents = self._state, self._parents
        table.whole(s.where, self._ready, gone, parents, slots, size, complete)
        table.ancestors(self._parents, slots, size, above)
        lower = Blocks(ends.ids, self._names[above], ends.depth // size)
        return lower.where(complete)

    def described(self, ids: Ints) -> Blocks:
        """Return blocks that are here with their place in the chain."""
        return self._described(self._look(ids))

    def names(self) -> Ints:
        """Return the names of all blocks that are here, ascending."""
        return np.sort(self._names[self._state.where > 0])

    def _check(self) -> None:
        if not 0 <= self.guarded <= len(self) <= self.capacity:
            raise BrokenLaw(
                f"a tier holds {len(self)} blocks, {self.guarded} of them guarded, "
                f"of {self.capacity}"
            )


def _first_slots(capacity_blocks: int) -> int:
    """Return how many slots to begin with, so that doubling ends an eighth above the capacity."""
    slots = capacity_blocks * 9 // 8 + 64
    while slots > _FIRST_SLOTS:
        slots = -(-slots // 2)
    return slots


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    return np.append(array, np.zeros(length - len(array), array.dtype))


def _flat(ids: Ints) -> Ints:
    return np.ascontiguousarray(ids, np.int64)
