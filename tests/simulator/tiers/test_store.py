"""A tier's blocks: exactly LRU with leaves first, for any policy never more than it may hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.policies.registry import POLICIES, make_policy
from tierlab.simulator.tiers.store import Blocks, Store
from tierlab.simulator.tiers.tracker import Tracker

NAMES = [name for name in POLICIES["reuse"] if name not in ("none", "belady")]


def policy(name):
    return make_policy("reuse", name, {}, "test")


def prompt(family: int, shared: int, length: int) -> list[int]:
    return [
        1000 * family + i + 1 if i < shared else 10**6 * (family + 1) + 100 * shared + i
        for i in range(length)
    ]


def chain(ids: list[int], first: int = 0) -> Blocks:
    parents = [0, *ids[:-1]]
    own = [np.array(c[first:], np.int64) for c in (ids, parents, range(len(ids)))]
    return Blocks(*own)


class Slow:
    """LRU over a dictionary: what `Store` must do, one block after the other."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.order, self.parent = capacity, [], {}
        self.pins, self.ready = {}, set()

    def stuck(self) -> set[int]:
        """Return the cached blocks that are pinned or lead to one that is."""
        out = {block for block in self.order if self.pins.get(block)}
        while more := {self.parent[b] for b in out if self.parent[b] in self.order} - out:
            out |= more
        return out

    def touch(self, ids: list[int]) -> None:
        for block in reversed(ids):
            if block in self.order:
                self.order.remove(block)
                self.order.append(block)

    def victim(self) -> int:
        parents = {self.parent[block] for block in self.order}
        return next(b for b in self.order if not self.pins.get(b) and b not in parents)

    def pin(self, ids: list[int], step: int) -> None:
        for block in ids:
            self.pins[block] = self.pins.get(block, 0) + step

    def admit(self, ids: list[int], above: list[int]) -> tuple[list[bool], list[int]]:
        self.pin(ids + above, 1)
        room, fit = self.capacity - len(self.stuck()), []
        for block in ids:
            room -= block not in self.order
            if room < 0:
                break
            fit.append(block)
        absent = {b for b in ids if b not in self.order}
        gone = []
        for block, parent in list(zip(fit, above, strict=False))[::-1]:
            if block not in self.order:
                while len(self.order) >= self.capacity:
                    gone.append(self.victim())
                    self.order.remove(gone[-1])
                self.order.append(block)
                self.parent[block] = parent
            else:
                self.touch([block])
        block = above[0] if above else 0
        while block in self.order:
            self.touch([block])
            block = self.parent[block]
        self.pin(ids + above, -1)
        coming = [b in absent and b in self.order for b in ids]
        new = [b for b, c in zip(ids, coming, strict=True) if c]
        self.ready -= set(new)
        self.pin(new, 1)
        return coming, gone


STEP = st.tuples(
    st.sampled_from(["admit", "arrive", "pin", "unpin", "shed", "touch", "give_up"]),
    st.integers(0, 3),
    st.integers(0, 6),
    st.integers(1, 8),
    st.integers(0, 7),
)


@given(st.integers(1, 20), st.lists(STEP, min_size=1, max_size=60))
@settings(max_examples=250, deadline=None)
def test_lru_is_what_a_dictionary_would_do(capacity, steps):
    store, slow, coming, pinned = Store(policy("lru"), capacity, "t"), Slow(capacity), [], []
    for verb, family, shared, length, first in steps:
        ids = prompt(family, shared, length)
        if verb == "admit":
            part = ids[min(first, length - 1) :]
            blocks = chain(ids, min(first, length - 1))
            come = store.admit(blocks, 0.0)
            mask, gone = come.coming, store.describe(come.gone)
            expected, lost = slow.admit(part, blocks.parents.tolist())
            assert (mask.tolist(), gone.ids.tolist()) == (expected, lost)
            assert gone.parents.tolist() == [slow.parent[b] for b in lost]
            if mask.any():
                coming.append((blocks.ids[mask], come.slots))
        elif verb in ("arrive", "give_up") and coming:
            new, slots = coming.pop(0)
            getattr(store, verb)(slots)
            if verb == "arrive":
                store.unpin(slots)
            slow.pin(new.tolist(), -1)
            if verb == "arrive":
                slow.ready |= set(new.tolist())
            else:
                slow.order = [b for b in slow.order if b not in new]
        elif verb == "pin" and store.ready(np.array(ids)).any():
            here = np.array(ids)[store.ready(np.array(ids))]
            pinned.append((here, store.pin(here)))
            slow.pin(here.tolist(), 1)
        elif verb == "unpin" and pinned:
            here, slots = pinned.pop()
            store.unpin(slots)
            slow.pin(here.tolist(), -1)
        elif verb == "shed":
            expected = []
            while len(expected) < shared and len(slow.order) > len(slow.stuck()):
                expected.append(slow.victim())
                slow.order.remove(expected[-1])
            assert store.describe(store.shed(shared)).ids.tolist() == expected
        elif verb == "touch":
            store.touch(np.array(ids), 0.0)
            slow.touch(ids)
        assert store.names().tolist() == sorted(slow.order)
        assert store.guarded == len(slow.stuck())
        hits = [b in slow.order and b in slow.ready for b in ids]
        assert store.ready(np.array(ids)).tolist() == hits
        assert store.leading(np.array(ids)) == (hits + [False]).index(False)
        assert store.first_ready(np.array(ids)) == (hits + [True]).index(True)


@given(
    st.sampled_from(NAMES),
    st.integers(20, 30),
    st.lists(st.tuples(STEP, st.booleans()), min_size=1, max_size=50),
)
@settings(max_examples=150, deadline=None)
def test_any_policy_keeps_pins_and_leaves_and_its_capacity(name, capacity, steps):
    store, parent, coming = Store(policy(name), capacity, "t"), {}, []
    for (verb, family, shared, length, first), end in steps:
        ids = prompt(family, shared, length)
        parent |= dict(zip(ids, [0, *ids[:-1]], strict=True))
        here = set(store.names().tolist())
        held = {b for new, _ in coming for b in new}
        if verb == "shed":
            gone = store.describe(store.shed(shared)).ids.tolist()
        elif verb == "touch":
            gone = store.touch(np.array(ids), 0.0) or []
        elif verb == "unpin":
            gone = store.describe(store.remove(np.array(ids))).ids.tolist()
            assert here - set(gone) == set(store.names().tolist())
            continue
        else:
            come = store.admit(chain(ids, min(first, length - 1)), 0.0)
            gone = store.describe(come.gone).ids.tolist()
            new = np.array(ids[min(first, length - 1) :])[come.coming].tolist()
            here |= set(new)
            coming.append((new, come.slots))
        assert not held & set(gone)
        left = set(store.names().tolist())
        assert left == here - set(gone)
        assert not {parent[b] for b in left} & set(gone)
        assert store.guarded <= len(store) <= capacity
        if end and coming:
            slots = coming.pop(0)[1]
            store.arrive(slots)
            store.unpin(slots)
    for _, slots in coming:
        store.give_up(slots)
    assert store.guarded == 0
    here = set(store.names().tolist())
    assert set(store.describe(store.shed(10**6)).ids.tolist()) == here
    assert len(store) == 0


def test_names_that_are_gone_leave_no_trace():
    store = Store(policy("lru"), 100, "t")
    for start in range(1, 200_000, 50):
        blocks = chain(list(range(start, start + 50)))
        slots = store.admit(blocks, 0.0).slots
        store.arrive(slots)
        store.unpin(slots)
    assert len(store) == 100
    assert len(store._book.names) < 3000


def test_an_exclusive_tier_can_run_every_policy_that_lists_blocks():
    assert all(Store(policy(name), 30, "t").removes for name in NAMES)


@pytest.mark.parametrize(
    ("name", "capacity", "what"), [("lru", 0, "0 blocks"), ("belady", 9, "ahead")]
)
def test_what_cannot_run_is_refused(name, capacity, what):
    with pytest.raises(BadInput, match=what):
        Store(policy(name), capacity, "tiers.dram.capacity")


def test_uses_are_counted_for_the_blocks_asked_for_last():
    tracker = Tracker(4, "t")
    tracker.note(np.array([1, 2, 3]))
    tracker.note(np.array([1, 2]))
    assert tracker.uses(np.array([1, 2, 3, 4])).tolist() == [2, 2, 1, 0]
    tracker.note(np.array([7, 8]))
    assert tracker.uses(np.array([1, 2, 3, 7, 8])).tolist() == [2, 2, 0, 1, 1]
    tracker.note(np.array([3]))
    assert tracker.uses(np.array([3])).tolist() == [1]
