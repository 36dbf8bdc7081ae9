"""Files with direct I/O: reads, writes and a mixture at random places, by piece and queue depth.

A row's time is from the first request to the last answer of all its pieces. Direct I/O goes round
the page cache; what the drive, or the host of a virtual machine, caches is beyond its reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import numpy as np

from tierlab.kernels.base.errors import BadInput, BrokenLaw
from tierlab.kernels.measure.directfile import UNIT_BYTES, direct_file, stamp, stamped
from tierlab.kernels.measure.engine import Engine, Requests, best_engine, buffers_for, engine_name
from tierlab.kernels.measure.point import Measure, Point, Value
from tierlab.kernels.measure.sampling import sample

SIZES = (2**12, 2**14, 2**16, 2**18, 2**20, 2**22)
DEPTHS = (1, 4, 32)
READ_SHARE = {"read": 1.0, "write": 0.0, "mixed": 0.7}
"""Of a mixture 70% are read, as in the drives' own data sheets."""
FILE_BYTES, QUICK_FILE_BYTES = 2**30, 2**27
CALL_BYTES, MOST_PIECES = 2**24, 256
POISON = np.uint64(0xA5A5A5A5A5A5A5A5)


class Files:
    """The part that reads and writes a file in `folder`; `where` is the option that named it."""

    name = "files"

    def __init__(self, quick: bool, folder: Path, where: str = "--files") -> None:
        self._sizes = (2**12, 2**16, 2**20) if quick else SIZES
        self._depths = (1, 32) if quick else DEPTHS
        self._bytes = QUICK_FILE_BYTES if quick else FILE_BYTES
        self._folder, self._where = folder, where

    def points(self) -> Sequence[Point]:
        """Return read, write and mixed by size and depth."""
        return [_point(op, s, d) for op in READ_SHARE for s in self._sizes for d in self._depths]

    @contextmanager
    def open(self) -> Iterator[Measure]:
        """Write the file; its second half is what is written to, its first what is read."""
        with (
            direct_file(self._folder, self._bytes, self._where) as fd,
            best_engine(max(self._depths)) as engine,
        ):
            bench = _Bench(fd, engine, self._bytes // 2, self._folder, self._where)
            yield bench.measure


def _point(op: str, size: int, depth: int) -> Point:
    pieces = max(2 * depth, min(MOST_PIECES, CALL_BYTES // size))
    ends = {"read": ("file", "dram"), "write": ("dram", "file")}
    src, dst = ends.get(op, ("file and dram", "dram and file"))
    columns: dict[str, Value] = {
        "op": op,
        "src": src,
        "dst": dst,
        "mechanism": engine_name(),
        "bytes": size * pieces,
        "piece_bytes": size,
        "pieces": pieces,
        "queue_depth": depth,
        "read_share": READ_SHARE[op],
        "load": "idle",
    }
    return Point("files", columns)


class _Bench:
    def __init__(self, fd: int, engine: Engine, half: int, folder: Path, where: str) -> None:
        self._fd, self._engine, self._half = fd, engine, half
        self._folder, self._where = folder, where
        self._rng = np.random.default_rng(0)

    def measure(self, point: Point, until: float) -> list[float]:
        """Time a point; what the last call brought and wrote is checked."""
        size, depth, pieces = (
            int(point.columns[k]) for k in ("piece_bytes", "queue_depth", "pieces")
        )
        batches = self._batches(size, depth, pieces, float(point.columns["read_share"]))
        turn = cycle(batches)
        try:
            self._checked(next(turn))
            samples = sample(lambda: self._engine.run(self._fd, next(turn)), until)
            self._checked(next(turn))
        except OSError as error:
            what = f"direct I/O in {self._folder} failed: {error.strerror or error}"
            raise BadInput(self._where, what, "a healthy drive, or --skip files") from None
        return samples

    def _batches(self, size: int, depth: int, pieces: int, share: float) -> list[Requests]:
        """Return requests that share buffers; together they visit a half without repeating."""
        places = self._half // size
        order = self._rng.permutation(places)
        count = max(1, min(16, places // pieces))
        buffers, held = buffers_for(size, depth), np.full(depth, -1)
        made = []
        for i in range(count):
            at = np.take(order, range(i * pieces, (i + 1) * pieces), mode="wrap") * size
            writes = self._rng.random(pieces) >= share
            offsets = (at + writes * self._half).astype(np.int64)
            made.append(Requests(offsets, writes, size, depth, buffers, held))
        return made

    def _checked(self, requests: Requests) -> None:
        """Carry requests out in poisoned buffers, and see that each byte came or went."""
        mask = int(self._rng.integers(1, 2**62))
        requests.buffers[:] = POISON
        stamp(requests.buffers, 0, mask)
        self._engine.run(self._fd, requests)
        for slot, index in enumerate(requests.held):
            if requests.writes[index]:
                continue
            if not stamped(requests.buffers[slot], int(requests.offsets[index])):
                raise BrokenLaw(f"a read at {requests.offsets[index]} brought something else")
        if requests.writes.all():  # a read fills the buffer that a mixture's write then sends
            self._check_written(requests, mask)

    def _check_written(self, requests: Requests, mask: int) -> None:
        """Read back what was written; each piece must carry this call's mask."""
        at = requests.offsets[requests.writes][: requests.depth]
        buffers = buffers_for(requests.size, len(at))
        buffers[:] = POISON
        reads = np.zeros(len(at), np.bool_)
        held = np.full(len(at), -1)
        self._engine.run(self._fd, Requests(at, reads, requests.size, len(at), buffers, held))
        for piece in buffers:
            number = piece.reshape(-1, UNIT_BYTES // 8)[:, 0] ^ np.uint64(mask)
            if int(number.max()) >= requests.buffers.nbytes // UNIT_BYTES:
                raise BrokenLaw("a write did not reach the file")
