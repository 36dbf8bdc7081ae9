"""The blocks of one tier: a reuse policy, pins, and blocks that are still on their way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput, BrokenLaw
from tierlab.kernels.base.held import Held
from tierlab.policies.cache.sim import make_state
from tierlab.policies.cache.state import CAPACITY, HELD, SIZE, SlotArray, grow
from tierlab.policies.cache.verbs import never, stays
from tierlab.simulator.tiers.book import GONE, SLOTS, Book, book_functions
from tierlab.simulator.tiers.table import NUMBER

if TYPE_CHECKING:
    from tierlab.policies.cache.verbs import BlockPolicy

Ints = NDArray[np.int64]
NO_PARENT = 0
"""Name of no block: what comes before a prompt's first block, or is not known."""
_FIRST_SLOTS = 2048
_BY_SLOT = ("parents", "guard", "pins", "names", "depth", "ready")
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


class Admitted(NamedTuple):
    """What `Store.admit` did.

    Attributes
    ----------
    number, coming
        How many of the blocks are now on their way in, and bool, which of them.
    slots
        int32, their slots.
    gone
        int32, slots of the blocks that left, first to go first; until the next `admit` they bear
        their names.
    """

    number: int
    coming: NDArray[np.bool_]
    slots: SlotArray
    gone: SlotArray


NO_BLOCKS = Blocks(*(np.zeros(0, np.int64) for _ in range(3)))


class Store:
    """Blocks of one tier by name.

    Leaves go first: a block stays while one that follows it is here, or while it is pinned. A
    block is arriving from `admit` to `arrive`; it takes its space, but is no hit. It is pinned
    until `unpin`.

    Parameters
    ----------
    deep
        Whether depths are kept; where all tiers have blocks of one size, nobody asks for them.

    Raises
    ------
    BadInput
        The capacity is less than one block, or the policy needs to see ahead.
    """

    def __init__(
        self, policy: BlockPolicy, capacity_blocks: int, where: str, deep: bool = True
    ) -> None:
        if capacity_blocks < 1:
            raise BadInput(where, f"room for {capacity_blocks} blocks", "capacity for 1 or more")
        if policy.verbs.future:
            raise BadInput(where, f"{policy.name!r} needs to see ahead", "a policy that does not")
        self._verbs = policy.verbs
        self._expires = policy.verbs.stale is not never
        self._again = policy.name in _USED_AGAIN
        self.removes = policy.verbs.remove is not stays
        state = make_state(policy, capacity_blocks, _first_slots(capacity_blocks))
        slots = len(state.where)
        parents, guard, pins = np.zeros((3, slots), np.int32)
        names, depth = np.zeros(slots, np.int64), np.zeros(slots if deep else 1, np.int32)
        ready, free = np.zeros(slots, np.int8), np.zeros(2, np.int64)
        self._hold(Book(state, parents, guard, pins, names, depth, ready, _table(slots), free))
        self._do["rebuild"](self._at)

    def _hold(self, book: Book) -> None:
        """Work on these arrays from now on."""
        self._book, self._held = book, Held(book)
        self._at = self._held.at
        self._do = book_functions(self._verbs, self._held.type)

    def _make_room(self, names: int) -> None:
        """See to it that so many new names find a slot."""
        book = self._book
        book.places[:] = 0
        self._do["rebuild"](self._at)
        slots = len(book.names)
        if book.free[NUMBER] < max(names, slots // 16):
            self._grow(slots + names)
            self._do["rebuild"](self._at)

    def _grow(self, slots: int) -> None:
        """Have room for more slots, and an empty table."""
        old, state = self._book, grow(self._book.state, slots)
        slots = len(state.where)
        arrays = {name: getattr(old, name) for name in _BY_SLOT}
        longer = {name: _longer(each, slots) for name, each in arrays.items() if len(each) > 1}
        self._hold(old._replace(state=state, places=_table(slots), **longer))

    def __len__(self) -> int:
        """Return how many blocks are cached, those on their way in among them."""
        return int(self._book.state.reg[SIZE])

    @property
    def capacity(self) -> int:
        """How many blocks fit."""
        return int(self._book.state.reg[CAPACITY])

    @property
    def guarded(self) -> int:
        """Cached blocks that are pinned or lead to one that is."""
        return int(self._book.state.reg[HELD])

    def leading(self, ids: Ints) -> int:
        """Return how many leading blocks can be hit; changes nothing."""
        return int(self._do["leading"](self._at, _flat(ids)))

    def first_ready(self, ids: Ints) -> int:
        """Return the place of the first block that can be hit, or ``len(ids)``."""
        return int(self._do["first_ready"](self._at, _flat(ids)))

    def held(self, ids: Ints) -> NDArray[np.bool_]:
        """Return which blocks are here or on their way in, bool like `ids`."""
        return self.count_held(ids)[1]

    def count_held(self, ids: Ints) -> tuple[int, NDArray[np.bool_]]:
        """Return how many blocks are here or on their way in, and bool like `ids`, which."""
        out = np.empty(len(ids), np.bool_)
        return self._do["held"](self._at, _flat(ids), out), out

    def ready(self, ids: Ints) -> NDArray[np.bool_]:
        """Return which blocks can be hit, bool like `ids`."""
        out = np.empty(len(ids), np.bool_)
        self._do["ready"](self._at, _flat(ids), out)
        return out

    def slots(self, ids: Ints) -> SlotArray:
        """Return the slots of blocks; they stay theirs while they are here or pinned."""
        out = np.empty(len(ids), np.int32)
        self._do["look"](self._at, _flat(ids), out)
        return out

    def admit(self, blocks: Blocks, now_s: float) -> Admitted:
        """Reserve space for blocks that come, and pin them; touch those that are here.

        Where not all fit beside what has a guard, the leading ones are kept. Under LRU the blocks
        before the first are touched too.
        """
        count = len(blocks.ids)
        coming, work = np.empty(count, np.bool_), np.empty((3, count), np.int32)
        columns = (blocks.ids, blocks.parents, blocks.depth, now_s, self._again, work, coming)
        came, evicted = self._do["admit"](self._at, *columns)
        if came < 0:
            self._make_room(evicted)
            came, evicted = self._do["admit"](self._at, *columns)
        self._check()
        slots = work[SLOTS] if came == count else work[SLOTS][coming]
        return Admitted(came, coming, slots, work[GONE, :evicted])

    def describe(self, slots: SlotArray) -> Blocks:
        """Return blocks with their place in the chain."""
        if not len(slots):
            return NO_BLOCKS
        out = np.empty((3, len(slots)), np.int64)
        self._do["describe"](self._at, slots, out)
        return Blocks(*out)

    def arrive(self, slots: SlotArray) -> None:
        """Let blocks that were on their way in be hit; they are pinned until `unpin`."""
        self._do["arrive"](self._at, slots)

    def give_up(self, slots: SlotArray) -> None:
        """Let go of blocks that will not come; where the policy cannot, they fade unhit."""
        self.unpin(slots)
        self._take(slots)

    def remove(self, ids: Ints) -> SlotArray:
        """Take out those of the blocks that are here, can be hit and are not pinned.

        Returns their slots. A policy that cannot remove keeps them.
        """
        slots = self.slots(ids[self.ready(ids)])
        return self._take(slots[self._book.pins[slots] == 0])

    def _take(self, slots: SlotArray) -> SlotArray:
        slots = slots[self._book.state.where[slots] > 0]
        if not self.removes or not len(slots):
            return slots[:0]
        self._do["take"](self._at, slots)
        return slots

    def touch(self, ids: Ints, now_s: float) -> None:
        """Count a use of those blocks that are here, the last first."""
        self._do["touch"](self._at, _flat(ids), np.empty(len(ids), np.int32), now_s)

    def pin(self, ids: Ints) -> SlotArray:
        """Keep blocks that are here until `unpin` is called with what this returns."""
        out = np.empty(len(ids), np.int32)
        self._do["pin"](self._at, _flat(ids), out)
        return out

    def unpin(self, slots: SlotArray) -> None:
        """Take back one `pin`."""
        self._do["shift"](self._at, slots, -1)

    def shed(self, blocks: int) -> SlotArray:
        """Evict up to so many blocks, leaves first; return their slots."""
        gone = np.empty(max(min(blocks, len(self) - self.guarded), 0), np.int32)
        return gone[: self._do["shed"](self._at, gone)] if len(gone) else gone

    def expire(self, now_s: float) -> int:
        """Set the clock; evict what has outlived its time and is not guarded; return how many."""
        if not self._expires:
            return 0
        gone = np.empty(len(self) - self.guarded, np.int32)
        return int(self._do["sweep"](self._at, gone, now_s))

    def groups(self, blocks: Blocks, size: int) -> Blocks:
        """Return the blocks of `size` of this tier's that end in some of `blocks` and are whole.

        Their parents are the blocks of `size` before them, where this tier knows them. What was
        just evicted still counts.
        """
        if size == 1:
            return blocks
        ends = blocks.where((blocks.depth + 1) % size == 0)
        slots, book = self.slots(ends.ids), self._book
        complete, above = np.empty(len(slots), np.bool_), np.empty(len(slots), np.int32)
        gone = np.zeros(len(book.names), np.int8)
        gone[self.slots(blocks.ids)] = 1
        self._do["whole"](self._at, gone, slots, size, complete)
        self._do["ancestors"](self._at, slots, size, above)
        lower = Blocks(ends.ids, book.names[above], ends.depth // size)
        return lower.where(complete)

    def names(self) -> Ints:
        """Return the names of all blocks that are here, ascending."""
        return np.sort(self._book.names[self._book.state.where > 0])

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


def _table(slots: int) -> SlotArray:
    """Return an empty table for so many slots, at most two thirds of which they fill."""
    return np.zeros(1 << int(slots * 3 // 2).bit_length(), np.int32)


def _flat(ids: Ints) -> Ints:
    return np.ascontiguousarray(ids, np.int64)
