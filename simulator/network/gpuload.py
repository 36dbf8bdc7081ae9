"""What copies take from a GPU's compute: its HBM's bandwidth, and SMs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

KEPT = 1 << 16
"""Changes kept per GPU (to half as many when full); older intervals can no longer be asked for."""


def integral_at(log: NDArray[np.float64], time_s: float) -> float:
    """Return the integral of a step function until a time.

    Parameters
    ----------
    log
        float64[n, 3]: times of the steps, the integral until each, the value from each on.

    Raises
    ------
    ValueError
        The time lies before what the log keeps.
    """
    row = int(np.searchsorted(log[:, 0], time_s, side="right")) - 1
    if row < 0:
        raise ValueError(f"{time_s} s is before {log[0, 0]} s, the oldest change kept")
    since_s, until_then, value = log[row]
    return float(until_then + value * (time_s - since_s))


@dataclass
class SmUse:
    """The share of one GPU's SMs that copying kernels hold, a step function of time."""

    share: float = 0.0
    _running: int = 0
    _times_s: list[float] = field(default_factory=lambda: [0.0])
    _totals: list[float] = field(default_factory=lambda: [0.0])
    _shares: list[float] = field(default_factory=lambda: [0.0])

    def change(self, kernels: int, share_each: float, now_s: float) -> None:
        """Let kernels start, or end where `kernels` is negative."""
        total = self.integral_at(now_s)
        self._running += kernels
        self.share = min(self._running * share_each, 1.0)
        for column, value in self._columns(now_s, total):
            column.append(value)
            if len(column) > KEPT:
                del column[: KEPT // 2]

    def integral_at(self, time_s: float) -> float:
        """Return share x seconds until a time; ValueError if it is no longer kept."""
        row = bisect_right(self._times_s, time_s) - 1
        if row < 0:
            raise ValueError(f"{time_s} s is before {self._times_s[0]} s, the oldest change kept")
        return self._totals[row] + self._shares[row] * (time_s - self._times_s[row])

    def _columns(self, now_s: float, total: float) -> Sequence[tuple[list[float], float]]:
        return (
            (self._times_s, now_s),
            (self._totals, total),
            (self._shares, self.share),
        )
