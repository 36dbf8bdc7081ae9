import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput, BrokenLaw
from tierlab.kernels.measure import directfile, files
from tierlab.kernels.measure.directfile import UNIT_BYTES, direct_file, stamp, stamped
from tierlab.kernels.measure.engine import Requests, Threads, buffers_for
from tierlab.kernels.measure.files import Files
from tierlab.kernels.measure.point import Unavailable
from tierlab.kernels.measure.uring import Ring

SIZE = 2**20


@pytest.fixture(params=["io_uring", "threads"])
def engine(request):
    made = Ring.try_make(8) if request.param == "io_uring" else Threads(8)
    if made is None:
        pytest.skip("needs io_uring, which this kernel or processor does not allow")
    yield made
    made.close()


@pytest.fixture
def fd(tmp_path):
    try:
        with direct_file(tmp_path, SIZE, "--files") as fd:
            yield fd
    except Unavailable as reason:
        pytest.skip(f"needs direct I/O: {reason}")


def requests(offsets, writes, size: int, depth: int) -> Requests:
    offsets = np.asarray(offsets, np.int64)
    made = np.broadcast_to(np.asarray(writes), len(offsets)).copy()
    return Requests(offsets, made, size, depth, buffers_for(size, depth), np.full(depth, -1))


@pytest.mark.parametrize(("size", "depth"), [(4096, 1), (4096, 8), (16384, 3)])
def test_reads_bring_what_lies_there(engine, fd, size: int, depth: int) -> None:
    order = np.random.default_rng(1).permutation(SIZE // size) * size
    asked = requests(order, False, size, depth)
    engine.run(fd, asked)
    assert sorted(asked.held)[0] >= 0
    for slot, index in enumerate(asked.held):
        assert stamped(asked.buffers[slot], int(order[index]))


def test_writes_arrive_and_nothing_else_changes(engine, fd) -> None:
    before = np.frombuffer(_whole(fd), np.uint64)
    asked = requests([3 * 4096, 7 * 4096], True, 4096, 2)
    asked.buffers[:] = 77
    engine.run(fd, asked)
    after = np.frombuffer(_whole(fd), np.uint64).reshape(-1, 512)
    changed = np.flatnonzero((after != before.reshape(-1, 512)).any(axis=1))
    assert changed.tolist() == [3, 7]
    assert (after[[3, 7]] == 77).all()


def _whole(fd: int) -> bytes:
    buffer = buffers_for(SIZE, 1)
    assert os.preadv(fd, [buffer.data.cast("B")], 0) == SIZE
    return buffer.tobytes()


def test_a_read_beyond_the_end_fails(engine, fd) -> None:
    with pytest.raises(OSError, match="0 of 4096 bytes"):
        engine.run(fd, requests([0, SIZE, 4096], False, 4096, 2))


def test_a_bad_descriptor_fails(engine) -> None:
    with pytest.raises(OSError, match="descriptor"):
        engine.run(987, requests([0], False, 4096, 1))


def test_stamps_tell_places_and_masks_apart() -> None:
    words = buffers_for(4 * UNIT_BYTES, 1)[0]
    stamp(words, 8 * UNIT_BYTES, 5)
    assert stamped(words, 8 * UNIT_BYTES, 5)
    assert not stamped(words, 9 * UNIT_BYTES, 5)
    assert not stamped(words, 8 * UNIT_BYTES)


@pytest.fixture
def part(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "QUICK_FILE_BYTES", 2**23)
    monkeypatch.setattr(files, "CALL_BYTES", 2**18)
    return Files(True, tmp_path)


@pytest.fixture
def few(part, fd):
    return [p for p in part.points() if p.columns["piece_bytes"] <= 2**16]


def test_every_point_is_measured_and_checked(part, few, tmp_path: Path) -> None:
    with part.open() as measure:
        for point in few:
            assert min(measure(point, time.perf_counter())) > 0
    assert list(tmp_path.iterdir()) == []


class Idle:
    """An engine that does nothing, or moves only some pieces."""

    name = "idle"

    def __init__(self, run) -> None:
        self.run = run

    def close(self) -> None: ...


@pytest.mark.parametrize("op", ["read", "write"])
def test_an_engine_that_moves_nothing_is_caught(part, few, op: str, monkeypatch) -> None:
    def nothing(fd: int, asked: Requests) -> None:
        asked.held[:] = 0

    monkeypatch.setattr(files, "best_engine", lambda most: _entered(Idle(nothing)))
    point = next(p for p in few if p.columns["op"] == op)
    with part.open() as measure, pytest.raises(BrokenLaw):
        measure(point, time.perf_counter())


def test_a_drive_that_fails_is_told_in_one_line(part, few, monkeypatch) -> None:
    def broken(fd: int, asked: Requests) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "best_engine", lambda most: _entered(Idle(broken)))
    with part.open() as measure, pytest.raises(BadInput, match="Input/output error"):
        measure(few[0], time.perf_counter())


def _entered(engine):
    from contextlib import nullcontext

    return nullcontext(engine)


def test_half_of_the_file_is_read_and_the_other_written(part) -> None:
    bench = files._Bench(-1, None, 2**22, Path(), "--files")
    for batch in bench._batches(2**16, 4, 16, 0.5):
        assert (batch.offsets[batch.writes] >= 2**22).all()
        assert (batch.offsets[~batch.writes] < 2**22).all()
        assert batch.offsets.max() + 2**16 <= 2**23
        assert len(set(batch.offsets % 2**22)) == 16


def test_folders_that_cannot_take_the_file_are_refused(tmp_path) -> None:
    def opened(folder, size: int) -> None:
        with direct_file(folder, size, "--files"):
            pass

    with pytest.raises(BadInput, match="No such file"):
        opened(tmp_path / "none", SIZE)
    with pytest.raises(BadInput, match=r"has .* free"):
        opened(tmp_path, 2**60)


def test_file_systems_without_direct_io_are_told_apart(tmp_path, monkeypatch) -> None:
    def refuses(folder: Path) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(directfile, "_nameless", refuses)
    with (
        pytest.raises(Unavailable, match="does not allow direct I/O"),
        direct_file(tmp_path, SIZE, "--files"),
    ):
        pass
