import time
from contextlib import contextmanager

import pytest

from tierlab.kernels.measure.journal import Journal
from tierlab.kernels.measure.point import Point, Unavailable
from tierlab.kernels.measure.run import Budget, run


class Fake:
    """A part whose points take no time; it counts what it was asked."""

    def __init__(self, name: str = "fake", count: int = 4, fails: str = "") -> None:
        self.name, self._count, self._fails = name, count, fails
        self.asked: list[int] = []
        self.opened = self.closed = 0

    def points(self):
        return [Point(self.name, {"op": "copy", "bytes": i + 1}) for i in range(self._count)]

    @contextmanager
    def open(self):
        if self._fails:
            raise Unavailable(self._fails)
        self.opened += 1
        try:
            yield self.measure
        finally:
            self.closed += 1

    def measure(self, point: Point, until: float) -> list[float]:
        self.asked.append(point.columns["bytes"])
        return [float(point.columns["bytes"])] * 3


class Stops(Fake):
    """It is interrupted at its n-th measurement."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def measure(self, point: Point, until: float) -> list[float]:
        if len(self.asked) == self._at:
            raise KeyboardInterrupt
        return super().measure(point, until)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def test_rounds_go_through_all_points_in_turn(path) -> None:
    part, told = Fake(), []
    found = run([part], Budget(60.0, 3), Journal(path, {}), lambda *at: told.append(at))
    assert part.asked == [1, 2, 3, 4] * 3
    assert (part.opened, part.closed) == (1, 1)
    assert told[0] == (1, 12)
    assert told[-1] == (12, 12)
    assert [(r["bytes"], r["seconds"], r["samples"], r["rounds"]) for r in found.rows] == [
        (i, float(i), 9, 3) for i in (1, 2, 3, 4)
    ]


def test_the_first_round_is_finished_and_the_others_end_with_the_budget(path) -> None:
    part = Fake()
    found = run([part], Budget(0.0, 3), Journal(path, {}))
    assert part.asked == [1, 2, 3, 4]
    assert {r["rounds"] for r in found.rows} == {1}


def test_a_point_gets_its_share_of_what_is_left(path) -> None:
    shares = []

    class Slow(Fake):
        def measure(self, point: Point, until: float) -> list[float]:
            shares.append(until - time.perf_counter())
            return super().measure(point, until)

    run([Slow(count=10)], Budget(100.0, 2), Journal(path, {}))
    assert shares[0] == pytest.approx(5.0, rel=0.01)
    assert shares[-1] == pytest.approx(100.0, rel=0.01)


@pytest.mark.parametrize("at", [1, 5, 11])
def test_it_goes_on_where_it_was_stopped(path, at: int) -> None:
    journal = Journal(path, {})
    with pytest.raises(KeyboardInterrupt):
        run([Stops(at)], Budget(60.0, 3), journal)
    journal.close()
    part, told = Fake(), []
    found = run([part], Budget(60.0, 3), Journal(path, {}), lambda *at: told.append(at))
    assert part.asked == ([1, 2, 3, 4] * 3)[at:]
    assert told == [(i + 1, 12 - at) for i in range(12 - at)]
    assert found.resumed == at
    assert [(r["samples"], r["rounds"]) for r in found.rows] == [(9, 3)] * 4


def test_what_the_machine_lacks_is_told_and_the_rest_measured(path) -> None:
    told = []
    parts = [Fake("gone", 6, fails="no such thing"), Fake("here", 2)]
    found = run(parts, Budget(60.0, 2), Journal(path, {}), lambda *at: told.append(at))
    assert found.skipped == {"gone": "no such thing"}
    assert len(found.rows) == 2
    assert told[-1] == (4, 4)


def test_keys_tell_points_apart_and_last() -> None:
    a = Point("p", {"op": "copy", "bytes": 1})
    assert a.key == Point("p", {"bytes": 1, "op": "copy"}).key
    assert a.key != Point("q", {"op": "copy", "bytes": 1}).key
    assert a.key == "e2ed80404ec09c6a"
