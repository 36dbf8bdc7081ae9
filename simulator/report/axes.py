"""Axes: what they span, where values lie on them, and round values to write beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST = 1e-12
"""A logarithmic axis takes what is less for nothing."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, in SI, written as `kind`; a clock's in units of `unit_s`."""

    title: str
    kind: str
    low: float
    high: float
    log: bool = False
    unit_s: float = 1.0

    def place(self, values: Floats) -> Floats:
        """Return where values lie, 0 to 1; beyond the ends they stay at them."""
        low, high, x = self.low, self.high, values
        if self.log:
            low, high, x = math.log(low), math.log(high), np.log(np.maximum(values, self.low))
        placed: Floats = np.clip((x - low) / (high - low), 0.0, 1.0)
        return placed

    def ticks(self) -> list[float]:
        """Return round values on the axis."""
        if self.log:
            return _log_ticks(self.low, self.high)
        unit = _unit(self.kind, self.high)
        return [tick * unit for tick in _ticks(self.low / unit, self.high / unit)]


def linear(title: str, kind: str, values: Sequence[Floats], *, zero: bool = True) -> Axis:
    """Return a linear axis that holds all values."""
    joined = np.concatenate([*values, np.zeros(1)] if zero else list(values))
    high, low = float(np.nanmax(joined, initial=0.0)), float(np.nanmin(joined, initial=0.0))
    unit = _unit(kind, high)
    ticks = _ticks(low / unit, high / unit if high > low else low / unit + 1.0)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    top = ticks[-1] if ticks[-1] * unit >= high else ticks[-1] + step
    return Axis(title, kind, low, max(high, top * unit))


def logarithmic(title: str, kind: str, values: Sequence[Floats]) -> Axis:
    """Return a logarithmic axis that holds all values above zero; at most six decades."""
    joined = np.concatenate(list(values))
    joined = joined[joined > LEAST]
    if not len(joined):
        return Axis(title, kind, 0.1, 1.0, log=True)
    high = float(joined.max()) * 1.05
    low = max(float(joined.min()) * 0.95, high / 1e6)
    return Axis(title, kind, min(low, high / 2), high, log=True)


def _unit(kind: str, high: float) -> float:
    """Return what round values are multiples of: bytes are written in powers of 1,024."""
    if kind != "bytes" or high < 1024:
        return 1.0
    return float(1024 ** int(math.log(high, 1024)))


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    raw = (high - low) / most
    if raw <= 0 or not math.isfinite(raw):
        return [low]
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = math.log10(high / low)
    steps = (1,) if decades > 3 else (1, 3) if decades > 1.2 else (1, 2, 5)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = 2 if decades > 6 else 1
    found = [m * 10.0**e for e in range(first, last + 1, every) for m in steps]
    return [tick for tick in found if low <= tick <= high]


def clock(title: str, end_s: float) -> Axis:
    """Return an axis of simulated time in the unit that reads best."""
    for unit_s, kind in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if end_s > 3 * unit_s:
            return Axis(f"{title}, {kind}", "number", 0.0, end_s / unit_s, unit_s=unit_s)
    return Axis(f"{title}, seconds", "number", 0.0, max(end_s, 1e-9))
