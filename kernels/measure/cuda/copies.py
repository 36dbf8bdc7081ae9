"""Copies between a GPU and its host, by direction, mechanism, piece, streams and load.

A row's time runs on the host's clock, from the first call to the end of the last piece: issue
costs are in it. Pieces lie scattered, as KV blocks do.

======== ====================================================================
loop     one cudaMemcpyAsync a piece, on the copy engines
batched  one cuMemcpyBatchAsync for all pieces, where the driver has it
kernel   a kernel that reads or writes pinned host memory
======== ====================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from tierlab.kernels.measure.cuda import batch
from tierlab.kernels.measure.cuda.copybench import Bench
from tierlab.kernels.measure.cuda.facts import guarded, memory_bytes
from tierlab.kernels.measure.cuda.load import gemm_running
from tierlab.kernels.measure.point import Measure, Point, Value

SIZES = tuple(2**i for i in range(12, 27, 2))
FEW = (2**16, 2**20, 2**24)
QUICK = (2**16, 2**24)
ENDS = {"in": ("host", "gpu"), "out": ("gpu", "host"), "both": ("host and gpu", "gpu and host")}
"""Directions: into the GPU, out of it, both at once."""
MOST_BYTES, MOST_PIECES = 2**26, 1024
"""Of one call and direction."""
ARENA_BYTES = 2**29
"""On each side and for each direction, several times the host's caches; a power of two, so that
pieces fill it."""


class Copies:
    """The part that copies between GPU `number` and its host."""

    name = "copies"

    def __init__(self, quick: bool, number: int) -> None:
        self._quick, self._number = quick, number
        fitting = memory_bytes(number) // 16
        self._arena = min(ARENA_BYTES, 1 << (fitting.bit_length() - 1))

    def points(self) -> Sequence[Point]:
        """Return pinned copies of all sizes, of one piece, and fewer of every other kind."""
        hows = [
            how for how in ("loop", "batched", "kernel") if how != "batched" or batch.available()
        ]
        if self._quick:
            return [
                _point(way, how, size) for way in ("in", "out") for how in hows for size in QUICK
            ]
        ways = ("in", "out")
        return [
            *(_point(way, how, size) for way in ways for how in hows for size in SIZES),
            *(_point(way, how, SIZES[0], most=1) for way in ways for how in hows),
            *(_point("both", how, size) for how in hows for size in FEW),
            *(_point(way, "loop", s, memory="pageable") for way in ways for s in (2**12, *FEW)),
            *(_point(way, "loop", s, streams=n) for way in ways for n in (2, 4) for s in FEW),
            *(_point(w, how, size, load="gemm") for w in ways for how in hows for size in FEW),
        ]

    @contextmanager
    def open(self) -> Iterator[Measure]:
        """Allocate both sides and write what is copied."""
        with guarded(self._number):
            bench = Bench(self._number, self._arena)
        yield lambda point, until: self._measure(bench, point, until)

    def _measure(self, bench: Bench, point: Point, until: float) -> list[float]:
        loaded = point.columns["load"] == "gemm"
        busy: Any = gemm_running(self._number) if loaded else nullcontext()
        with guarded(self._number), busy:
            return bench.measure(point, until)


def _point(
    way: str,
    how: str,
    size: int,
    *,
    memory: str = "pinned",
    streams: int = 1,
    load: str = "idle",
    most: int = MOST_PIECES,
) -> Point:
    pieces = max(1, min(most, MOST_BYTES // size))
    src, dst = ENDS[way]
    columns: dict[str, Value] = {
        "op": "copy",
        "src": src,
        "dst": dst,
        "mechanism": how,
        "host_memory": memory,
        "bytes": size * pieces * (2 if way == "both" else 1),
        "piece_bytes": size,
        "pieces": pieces * (2 if way == "both" else 1),
        "streams": streams,
        "load": load,
    }
    return Point("copies", columns)
