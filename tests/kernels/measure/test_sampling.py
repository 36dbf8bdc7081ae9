import pytest

from tierlab.kernels.measure.sampling import LEAST, MOST, sample, summarise


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


def test_short_calls_are_repeated_until_a_sample_lasts() -> None:
    clock = Clock()
    samples = sample(clock.work(1e-5), until=0.05, clock=clock)
    assert samples == pytest.approx([1e-5] * len(samples))
    assert LEAST < len(samples) <= MOST
    assert clock.calls >= 100 * len(samples)


def test_long_calls_run_thrice_even_when_time_is_up() -> None:
    clock = Clock()
    assert sample(clock.work(0.7), until=0.1, clock=clock) == [0.7] * LEAST


def test_samples_end_however_much_time_is_left() -> None:
    assert len(sample(lambda: None, until=float("inf"))) == MOST


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
