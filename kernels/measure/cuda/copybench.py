"""What times one point of copies: its pieces, its streams, and the proof that bytes arrived."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.kernels.compute import gather
from tierlab.kernels.measure.cuda.batch import Batch
from tierlab.kernels.measure.cuda.hostmemory import KINDS, host_words, seen_by_gpu
from tierlab.kernels.measure.point import Point
from tierlab.kernels.measure.sampling import sample

POISON = np.uint64(0xA5A5A5A5A5A5A5A5)
MOST_SETS = 8
"""Sets of pieces that calls take in turn."""
Ids = NDArray[np.int64]
Issue = Callable[[int], None]
"""Queues the copies of a set on a stream."""


class Bench:
    """Memory of both sides.

    Parameters
    ----------
    number
        The GPU.
    arena_bytes
        Of each side and direction.
    """

    def __init__(self, number: int, arena_bytes: int) -> None:
        import cupy

        self._number = number
        self._numbers = np.arange(arena_bytes // 8, dtype=np.uint64)
        self._host = {kind: [host_words(kind, arena_bytes) for _ in "io"] for kind in KINDS}
        for kind in KINDS:
            self._host[kind][0][0][:] = self._numbers
        self._gpu = [cupy.empty(arena_bytes // 8, cupy.uint64), cupy.asarray(self._numbers)]
        self._streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(8)]

    def measure(self, point: Point, until: float) -> list[float]:
        """Time a point after a checked call into poisoned memory."""
        import cupy

        ways = {"host": (0,), "gpu": (1,)}.get(str(point.columns["src"]), (0, 1))
        lanes = [lane for way in ways for lane in self._lanes(point, way, len(ways))]
        turns = cycle(range(len(lanes[0].issues)))

        def call() -> int:
            turn = next(turns)
            for lane in lanes:
                lane.issues[turn](lane.stream.ptr)
            for lane in lanes:
                lane.stream.synchronize()
            return turn

        for lane in lanes:
            self._poison(point, lane)
        cupy.cuda.Device(self._number).synchronize()
        turn = call()
        for lane in lanes:
            self._check(point, lane, turn)
        return sample(call, until)

    def _lanes(self, point: Point, way: int, ways: int) -> list[_Lane]:
        count = int(point.columns["streams"])
        pieces = int(point.columns["pieces"]) // ways
        sets = self._sets(int(point.columns["piece_bytes"]), pieces)
        made = []
        for i in range(count):
            ids = [chosen[i::count] for chosen in sets if len(chosen[i::count])]
            if ids:
                stream = self._streams[way * 4 + i]
                issues = [self._issue(point, way, chosen, stream) for chosen in ids]
                made.append(_Lane(way, ids, issues, stream))
        return made

    def _sets(self, size: int, pieces: int) -> list[Ids]:
        places = self._numbers.nbytes // size
        order = np.random.default_rng(0).permutation(places)
        count = max(1, min(MOST_SETS, places // pieces))
        return [
            np.take(order, range(i * pieces, (i + 1) * pieces), mode="wrap") for i in range(count)
        ]

    def _sides(self, point: Point, way: int) -> tuple[Any, Any, Any]:
        """Return host words, what keeps them alive, and GPU words of a direction."""
        words, owner = self._host[str(point.columns["host_memory"])][way]
        return words, owner, self._gpu[way]

    def _issue(self, point: Point, way: int, ids: Ids, stream: Any) -> Issue:
        size = int(point.columns["piece_bytes"])
        words, owner, there = self._sides(point, way)
        host = ids * size + words.ctypes.data
        gpu = ids * size + there.data.ptr
        targets, sources = (gpu, host) if way == 0 else (host, gpu)
        how = point.columns["mechanism"]
        if how == "kernel":
            return self._by_kernel(words, owner, there, way, ids, size, stream)
        if how == "batched":
            return Batch(targets.astype(np.uint64), sources.astype(np.uint64), size).issue
        return _loop(targets, sources, size, way)

    def _by_kernel(
        self, words: Any, owner: Any, there: Any, way: int, ids: Ids, size: int, stream: Any
    ) -> Issue:
        """Gather from the host into a row, or scatter a row to the host; the row is checked."""
        import cupy

        cache = seen_by_gpu(words, owner, size, self._number)
        chosen = cupy.asarray(ids.astype(np.int32))
        row = there.view(cupy.uint8)[: len(ids) * size].reshape(len(ids), size)

        def issue(_: int) -> None:
            with stream:
                if way == 0:
                    gather.cupy_version(cache, chosen, row)
                else:
                    gather.scatter_cupy_version(cache, chosen, row)

        return issue

    def _ends(self, point: Point, lane: _Lane, turn: int) -> tuple[Any, Ids, Ids]:
        """Return what a lane writes to, as rows of pieces, and the rows read and written."""
        ids = lane.ids[turn]
        target = self._gpu[0] if lane.way == 0 else self._sides(point, 1)[0]
        rows = target.reshape(-1, int(point.columns["piece_bytes"]) // 8)
        if point.columns["mechanism"] != "kernel":
            return rows, ids, ids
        in_order = np.arange(len(ids))
        return (rows, ids, in_order) if lane.way == 0 else (rows, in_order, ids)

    def _poison(self, point: Point, lane: _Lane) -> None:
        rows, _, written = self._ends(point, lane, 0)
        rows[_there(written, lane.way)] = POISON

    def _check(self, point: Point, lane: _Lane, turn: int) -> None:
        rows, read, written = self._ends(point, lane, turn)
        found = rows[_there(written, lane.way)]
        found = found.get() if lane.way == 0 else found
        if not np.array_equal(found, self._numbers.reshape(-1, found.shape[1])[read]):
            raise BrokenLaw(f"a copy of {found.shape} words did not arrive")


def _there(ids: Ids, way: int) -> Any:
    """Return indices where the rows lie: on the GPU for the way in."""
    import cupy

    return cupy.asarray(ids) if way == 0 else ids


class _Lane:
    """One stream of one direction: sets of pieces, and what queues each."""

    def __init__(self, way: int, ids: list[Ids], issues: list[Issue], stream: Any) -> None:
        self.way, self.ids, self.issues, self.stream = way, ids, issues, stream


def _loop(targets: Any, sources: Any, size: int, way: int) -> Issue:
    import cupy

    runtime = cupy.cuda.runtime
    kind = runtime.memcpyHostToDevice if way == 0 else runtime.memcpyDeviceToHost
    pairs = list(zip(targets.tolist(), sources.tolist(), strict=True))

    def issue(stream: int) -> None:
        for target, source in pairs:
            runtime.memcpyAsync(target, source, size, kind, stream)

    return issue
