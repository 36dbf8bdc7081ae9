"""Repeated timing of one call, and what is kept of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tierlab.kernels.measure.waiting import waited_s

LEAST, MOST = 3, 40
"""Samples of a point in one round."""
FEW = 10
SAMPLE_S = 1e-3
"""A sample repeats a shorter call until it lasts so long, for the clock's and the loop's sake."""
MOST_REPEATS = 10_000
DISTURBED = 0.03
"""Share of a sample that our threads, all together, may have waited for a processor."""
PATIENCE_S = 0.3
"""Longer that undisturbed samples are sought."""
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
    call: Callable[[], object],
    until: float,
    clock: Callable[[], float] = time.perf_counter,
    waited: Callable[[], float] = waited_s,
) -> list[float]:
    """Time a call, which has been warmed up, again and again.

    A sample during which our threads waited for processors that others had is set aside, and is
    used only where `LEAST` undisturbed ones cannot be had in time.

    Parameters
    ----------
    call
        It returns only when its work is done.
    until
        When to stop, by `clock`; at least `LEAST` samples are taken whatever it says.
    waited
        How long our threads have waited for a processor so far, s.

    Returns
    -------
    Seconds of one call, one a sample.
    """
    once = max(min(_timed(call, 1, clock) for _ in range(2)), 1e-9)
    repeats = min(MOST_REPEATS, max(1, math.ceil(SAMPLE_S / once)))
    every: list[float] = []
    calm: list[float] = []
    while _wanted(len(every), len(calm), until - clock()):
        before = waited()
        lasted = _timed(call, repeats, clock)
        every.append(shorten(lasted / repeats))
        if waited() - before <= DISTURBED * lasted:
            calm.append(every[-1])
    return calm if len(calm) >= LEAST else every


def _wanted(taken: int, calm: int, left_s: float) -> bool:
    if taken < LEAST:
        return True
    patience_s = PATIENCE_S if calm < LEAST else 0.0
    return taken < MOST and left_s + patience_s > 0


def _timed(call: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(repeats):
        call()
    return clock() - began


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
