"""Plays traces through a block cache, as fast as the machine goes.

>>> from tierlab.policies.cache.sim import CacheSim
>>> from tierlab.policies.reuse.lru import Lru
>>> CacheSim(Lru(), 2).run([1, 2, 1, 3, 2]).misses
4
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.policies.cache.compiled import loops
from tierlab.policies.cache.intern import MOST_BLOCKS, Interner, intern_runs
from tierlab.policies.cache.state import SLOT0, SlotArray, State, grow, new_state

if TYPE_CHECKING:
    from tierlab.policies.cache.verbs import BlockPolicy

Ints = NDArray[np.int64]
Progress = Callable[[int, int], None]

CHUNK = 1 << 20
"""Accesses expanded at a time: 4 MiB of slots."""


@dataclass(frozen=True, eq=False)
class Counts:
    """What a cache did.

    Attributes
    ----------
    hits, blocks
        int64[n]: blocks found, and asked for, by each request; `run` has one request.
    """

    hits: Ints
    blocks: Ints

    @property
    def accesses(self) -> int:
        """Blocks asked for."""
        return int(self.blocks.sum())

    @property
    def misses(self) -> int:
        """Blocks not found."""
        return self.accesses - int(self.hits.sum())

    @property
    def hit_ratio(self) -> float:
        """Blocks found over blocks asked for; 0 where none was."""
        return float(self.hits.sum() / max(1, self.accesses))


@dataclass(frozen=True, eq=False)
class Requests:
    """Block ids of n requests as slots, ready to be played at any capacity.

    Attributes
    ----------
    offsets
        int64[n + 1], requests to runs.
    first, count
        int64[m], first slot and length of each run.
    times_s
        float64[n], when each came.
    blocks
        How many different blocks occur.
    """

    offsets: Ints
    first: Ints
    count: Ints
    times_s: NDArray[np.float64]
    blocks: int

    @classmethod
    def of_runs(cls, offsets: Ints, start: Ints, count: Ints, times_s: ArrayLike) -> Requests:
        """Return the requests whose block ids are runs (start, count) in CSR form."""
        first, blocks = intern_runs(start, count)
        return cls(offsets, first, count, np.asarray(times_s, np.float64), blocks)

    def block_counts(self) -> Ints:
        """Return the blocks of each request, int64[n]."""
        return np.diff(_offsets(self.count)[self.offsets])

    def chunks(self) -> Iterator[tuple[slice, SlotArray, Ints]]:
        """Yield requests, the slots they ask for, and their offsets into these."""
        from tierlab.policies.cache.hashing import expand

        ends = _offsets(self.block_counts())
        row, last = 0, len(self.offsets) - 1
        while row < last:
            stop = int(np.searchsorted(ends, ends[row] + CHUNK, "right")) - 1
            stop = min(max(stop, row + 1), last)
            slots = np.empty(ends[stop] - ends[row], np.int32)
            own = slice(self.offsets[row], self.offsets[stop])
            expand(self.first[own], self.count[own], slots)
            yield slice(row, stop), slots, ends[row : stop + 1] - ends[row]
            row = stop


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


class CacheSim:
    """A block cache of one policy and one capacity; every `run` starts with an empty one.

    Raises
    ------
    BadInput
        The capacity is less than one block.
    """

    def __init__(self, policy: BlockPolicy, capacity_blocks: int) -> None:
        if capacity_blocks < 1:
            raise BadInput("capacity", f"{capacity_blocks} blocks", "1 or more")
        self.policy = policy
        self.capacity_blocks = capacity_blocks

    def run(self, ids: ArrayLike) -> Counts:
        """Play accesses one by one: every cached block is a hit.

        Parameters
        ----------
        ids
            Integers, any values, in order of access.
        """
        ids = np.ascontiguousarray(ids, np.int64)
        interner = Interner()
        if self.policy.verbs.future:
            order = interner.slots(ids)
            state = self._state(interner.known, order)
            return self._counted([self._play(state, order)], len(ids))
        state, hits = self._state(0, None), []
        for at in range(0, len(ids), CHUNK):
            slots = interner.slots(ids[at : at + CHUNK])
            state = grow(state, interner.known)
            hits.append(self._play(state, slots))
        return self._counted(hits, len(ids))

    def run_requests(
        self, requests: Requests, *, prefix: bool = True, progress: Progress | None = None
    ) -> Counts:
        """Play requests: their blocks are touched or inserted from the prompt's start.

        Parameters
        ----------
        requests
            What to play.
        prefix
            Only blocks of the longest cached prefix are hits; else every cached block is.
        progress
            Called with (blocks done, blocks in all).
        """
        blocks = requests.block_counts()
        state = self._state(requests.blocks, _order(requests, self.policy.verbs.future))
        hits, done, total = np.zeros(len(blocks), np.int64), 0, int(blocks.sum())
        for rows, slots, offsets in requests.chunks():
            times_s = requests.times_s[rows]
            loops(self.policy.verbs).play(state, slots, offsets, times_s, prefix, hits[rows])
            done += len(slots)
            if progress:
                progress(done, total)
        return Counts(hits, blocks)

    def _state(self, blocks: int, order: SlotArray | None) -> State:
        return make_state(self.policy, self.capacity_blocks, blocks, order)

    def _play(self, state: State, slots: SlotArray) -> int:
        hits = np.zeros(1, np.int64)
        offsets = np.array([0, len(slots)], np.int64)
        loops(self.policy.verbs).play(state, slots, offsets, np.zeros(1), False, hits)
        return int(hits[0])

    @staticmethod
    def _counted(hits: list[int], accesses: int) -> Counts:
        return Counts(np.array([sum(hits)], np.int64), np.array([accesses], np.int64))


def make_state(
    policy: BlockPolicy, capacity_blocks: int, blocks: int, order: SlotArray | None = None
) -> State:
    """Return a policy's empty cache; `order` are all accesses, for a policy that sees ahead.

    Raises
    ------
    BadInput
        `order` has more accesses than int32 counts.
    """
    extra: dict[str, Any] = {}
    if order is not None and len(order) > MOST_BLOCKS:
        raise BadInput("trace", f"{len(order)} accesses", f"{MOST_BLOCKS} for {policy.name!r}")
    if order is not None:
        from tierlab.policies.cache.bits import words_for
        from tierlab.policies.cache.hashing import next_use

        future = np.empty(len(order), np.int32)
        next_use(order, np.full(blocks + SLOT0, len(order), np.int32), future)
        extra = {"order": order, "future": future, "words": words_for(len(order))}
    verbs = policy.verbs
    state = new_state(
        capacity_blocks, blocks, aux=verbs.aux, key=verbs.key, used=verbs.used, **extra
    )
    policy.prepare(state)
    return state


def _order(requests: Requests, wanted: bool) -> SlotArray | None:
    if not wanted:
        return None
    order, done = np.empty(int(requests.count.sum()), np.int32), 0
    for _, slots, _ in requests.chunks():
        order[done : done + len(slots)] = slots
        done += len(slots)
    return order
