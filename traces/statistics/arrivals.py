"""How requests arrive: rate and burstiness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOWS_S = (1.0, 10.0, 60.0, 600.0)
LEAST_WINDOWS = 10


@dataclass(frozen=True)
class Dispersion:
    """Index of dispersion: variance over mean of the requests in a window; 1 for Poisson."""

    window_s: float
    windows: int
    index: float


def duration_s(arrival_s: Floats) -> float:
    """Return the time from the first to the last arrival."""
    return float(arrival_s[-1] - arrival_s[0])


def rate_per_s(arrival_s: Floats) -> float | None:
    """Return requests over duration; None where all arrive at once, or nearly (under 1e-300 s)."""
    span_s = duration_s(arrival_s)
    return len(arrival_s) / span_s if span_s > 1e-300 else None


def gap_variation(arrival_s: Floats) -> float | None:
    """Return the coefficient of variation of the gaps between arrivals; 1 for Poisson."""
    gaps_s = np.diff(arrival_s)
    if len(gaps_s) < 2 or not gaps_s.mean() > 0:
        return None
    return float(gaps_s.std() / gaps_s.mean())


def dispersion(arrival_s: Floats) -> tuple[Dispersion, ...]:
    """Return the index of dispersion over each of `WINDOWS_S` that fits at least ten times.

    Only whole windows count, from the first arrival on.
    """
    found = []
    since_s = arrival_s - arrival_s[0]
    for window_s in WINDOWS_S:
        windows = int(since_s[-1] // window_s)
        if windows >= LEAST_WINDOWS:
            found.append(Dispersion(window_s, windows, _index(since_s // window_s, windows)))
    return tuple(found)


def _index(window: Floats, windows: int) -> float:
    """Return variance over mean of the requests in each window; the empty ones take no memory."""
    counts = np.unique(window[window < windows], return_counts=True)[1]
    mean = counts.sum() / windows
    squares = ((counts - mean) ** 2).sum() + (windows - len(counts)) * mean**2
    return float(squares / windows / mean)
