"""Repeated timing of one call, and what is kept of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

LEAST, MOST = 3, 40
"""Samples of a point in one round."""
FEW = 10
SAMPLE_S = 1e-3
"""A sample repeats a shorter call until it lasts so long, for the clock's and the loop's sake."""
MOST_REPEATS = 10_000
DIGITS = 5


@dataclass(frozen=True)
class Summary:
    """Seconds of one call: median, spread, and how many samples and rounds they come from."""

    seconds: float
    p10: float
    p90: float
    samples: int
    rounds: int


def sample(
    call: Callable[[], object], until: float, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Time a call, which has been warmed up, again and again.

    Parameters
    ----------
    call
        It returns only when its work is done.
    until
        When to stop, by `clock`; at least `LEAST` samples are taken whatever it says.

    Returns
    -------
    Seconds of one call, one a sample.
    """
    began = clock()
    call()
    once = max(clock() - began, 1e-9)
    repeats = min(MOST_REPEATS, max(1, math.ceil(SAMPLE_S / once)))
    samples: list[float] = []
    while len(samples) < LEAST or (len(samples) < MOST and clock() < until):
        began = clock()
        for _ in range(repeats):
            call()
        samples.append(shorten((clock() - began) / repeats))
    return samples


def shorten(seconds: float) -> float:
    """Round to the digits that a journal keeps."""
    return float(f"{seconds:.{DIGITS}g}")


def summarise(rounds: Sequence[Sequence[float]]) -> Summary:
    """Join the rounds of a point.

    The spread runs from the 10th to the 90th percentile of all samples, or from the lowest to
    the highest median of a round where that is wider: a machine that others use drifts more
    between rounds than within one. Of fewer than `FEW` samples a round, which hold no 10th
    percentile, it runs from the lowest to the highest.
    """
    pooled = np.array(list(chain.from_iterable(rounds)))
    medians = [float(np.median(r)) for r in rounds]
    tails = (0.1, 0.5, 0.9) if len(pooled) >= FEW * len(rounds) else (0.0, 0.5, 1.0)
    low, middle, high = (float(v) for v in np.quantile(pooled, tails))
    return Summary(
        shorten(middle),
        shorten(min(low, *medians)),
        shorten(max(high, *medians)),
        len(pooled),
        len(rounds),
    )
