import subprocess
import sys
import time
from pathlib import Path

import pytest

from tierlab.kernels.compute.jit import threads
from tierlab.kernels.measure.sampling import LEAST, MOST, PATIENCE_S, sample, summarise
from tierlab.kernels.measure.waiting import waited_s


class Clock:
    """A clock that only calls move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float):
        def call() -> None:
            self.now += seconds
            self.calls += 1

        return call


def zero() -> float:
    return 0.0


def test_short_calls_are_repeated_until_a_sample_lasts() -> None:
    clock = Clock()
    samples = sample(clock.work(1e-5), until=0.05, clock=clock, waited=zero)
    assert samples == pytest.approx([1e-5] * len(samples))
    assert LEAST < len(samples) <= MOST
    assert clock.calls >= 100 * len(samples)


def test_long_calls_run_thrice_even_when_time_is_up() -> None:
    clock = Clock()
    assert sample(clock.work(0.7), until=0.1, clock=clock, waited=zero) == [0.7] * LEAST


def test_samples_end_however_much_time_is_left() -> None:
    assert len(sample(lambda: None, until=float("inf"), waited=zero)) == MOST


class Others:
    """Other programs: each n-th call takes nine times as long, of which we wait for eight."""

    def __init__(self, clock: Clock, every: int) -> None:
        self.clock, self.every, self.waited = clock, every, 0.0

    def call(self) -> None:
        disturbed = (self.clock.calls + 1) % self.every == 0
        self.clock.work(0.09 if disturbed else 0.01)()
        self.waited += 0.08 if disturbed else 0.0


def test_samples_that_others_disturbed_are_set_aside() -> None:
    clock = Clock()
    others = Others(clock, every=2)
    found = sample(others.call, until=1.0, clock=clock, waited=lambda: others.waited)
    assert len(found) > LEAST
    assert found == pytest.approx([0.01] * len(found))


def test_where_all_are_disturbed_all_are_kept_and_time_is_limited() -> None:
    clock = Clock()
    others = Others(clock, every=1)
    found = sample(others.call, until=0.5, clock=clock, waited=lambda: others.waited)
    assert found == pytest.approx([0.09] * len(found))
    assert 0.5 + PATIENCE_S <= clock.now < 0.5 + PATIENCE_S + 0.1


def test_waiting_for_a_processor_is_seen() -> None:
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("needs a kernel with schedstat")
    before = waited_s()
    code = "import time\nend = time.time() + 0.5\nwhile time.time() < end: pass"
    rivals = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3 * threads())]
    end = time.perf_counter() + 0.4
    while time.perf_counter() < end:
        pass
    for rival in rivals:
        rival.wait()
    assert waited_s() - before > 0.05


def test_the_spread_holds_what_differs_between_rounds() -> None:
    told = summarise([[1.0] * 50, [1.0] * 49 + [9.0], [2.0] * 3])
    assert (told.seconds, told.p10, told.p90) == (1.0, 1.0, 2.0)
    assert (told.samples, told.rounds) == (103, 3)


def test_few_samples_spread_from_the_lowest_to_the_highest() -> None:
    told = summarise([[3.0, 1.0, 2.0], [2.5, 2.0, 2.0]])
    assert (told.p10, told.seconds, told.p90) == (1.0, 2.0, 3.0)


def test_the_spread_within_a_round() -> None:
    told = summarise([[float(i) for i in range(101)]])
    assert (told.p10, told.seconds, told.p90) == (10.0, 50.0, 90.0)
