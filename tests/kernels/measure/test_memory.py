import time

import numpy as np
import pytest

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.kernels.measure import bandwidth
from tierlab.kernels.measure.bandwidth import Memory, thread_counts


@pytest.fixture
def part(monkeypatch):
    monkeypatch.setattr(bandwidth, "SMALLEST_ARENA", 2**23)
    monkeypatch.setattr(bandwidth, "QUICK_SIZES", (2**16, 2**21))
    return Memory(True, 2**18)


def test_threads_double_up_to_all() -> None:
    assert [thread_counts(n) for n in (1, 2, 6)] == [[1], [1, 2], [1, 2, 4, 6]]


def test_every_point_is_measured_and_checked(part) -> None:
    with part.open() as measure:
        for point in part.points():
            samples = measure(point, time.perf_counter())
            rate = point.columns["bytes"] / np.median(samples)
            assert 1e6 < rate < 1e13


def test_the_next_call_takes_the_next_buffer() -> None:
    place = bandwidth._Rotation(100, 30)
    assert [place.next() for _ in range(5)] == [0, 30, 60, 0, 30]


def _all_but_one(words, target, first, end, part) -> None:
    target[first : end - 1] = words[first : end - 1]


@pytest.mark.parametrize(
    ("op", "lie"),
    [
        ("read", ("_read", lambda *_: None)),
        ("read", ("_read", lambda words, sums, *_: sums.fill(0))),
        ("copy", ("_copy", lambda *_: None)),
        ("copy", ("_copy", _all_but_one)),
    ],
)
def test_a_kernel_that_does_not_do_its_work_is_caught(part, monkeypatch, op: str, lie) -> None:
    monkeypatch.setattr(bandwidth, *lie)
    point = next(p for p in part.points() if p.columns["op"] == op)
    with part.open() as measure, pytest.raises(BrokenLaw):
        measure(point, time.perf_counter())
