"""A log's clock to seconds from its first row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TICKS_PER_S = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Unit of a log's clock -> how many of it make a second."""


class Clock:
    """Turns raw times, chunk after chunk, into seconds from the first one.

    The first time is subtracted in the log's own unit, so that an epoch in nanoseconds (int64)
    loses nothing to float64.

    Parameters
    ----------
    unit
        A key of `TICKS_PER_S`.
    origin
        What is subtracted in place of the first time.
    """

    def __init__(self, unit: str, origin: float | None = None) -> None:
        self._ticks_per_s = TICKS_PER_S[unit]
        self._origin: np.int64 | np.float64 | float | None = origin

    def seconds(self, raw: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return float64[k] for raw times of one chunk."""
        if self._origin is None:
            sound = raw[np.isfinite(raw)]  # what is not is refused, or skipped, by the rules
            if not len(sound):
                return np.full(len(raw), np.nan)
            self._origin = sound[0]
        elapsed: NDArray[np.float64] = (raw - self._origin) / self._ticks_per_s
        return elapsed
