"""What a formula of messages leaves over: a curve in their size, for each number of devices.

A table of collectives has some twenty sizes for three numbers of devices: too few for trees. Its
residuals are alike at neighbouring sizes that take the same way (`nccl_tuner`, `own_reduce.way`),
and what is learnt of one way says nothing of the next. So each way's are smoothed apart: kriging
with a squared exponential covariance, which tends to none away from what was measured (Rasmussen
and Williams, 2006, 2.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
OCTAVES = 1.5
"""Octaves of size over which residuals stay alike."""
NOISE = 0.5
"""Of a measurement, its variance beside that of the residuals. These and `MOST` were chosen by
leaving out sizes within the fitted sizes of 20 kernels of NCCL (2026-11-21)."""
MOST = 0.1
"""Residual beyond which a measurement counts as this: single times are off by half."""
STEP = 0.5
"""Octaves from one knot of a curve to the next."""
DIGITS = 5
"""Of `Curve.logs` after the point, as files hold them."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Logs of the factor on a formula's time.

    Attributes
    ----------
    devices
        float64[d], log2 of the numbers of devices, rising.
    first
        log2 of the first knot's bytes; `STEP` octaves from each to the next.
    logs
        float64[d, knots].
    """

    devices: Floats
    first: float
    logs: Floats

    def __call__(self, features: Mapping[str, Floats], seconds: Floats) -> Floats:
        """Return the log of the factor, float64[n]; a line between knots, and between devices.

        `features` are log2 of ``bytes`` and of ``devices``; beyond the ends it stays as there.
        """
        rows, knots = self.logs.shape
        row, lower = _place(np.interp(features["devices"], self.devices, np.arange(rows)), rows)
        at, right = _place((features["bytes"] - self.first) / STEP, knots)
        flat, next_row = self.logs.ravel(), knots * (rows > 1)
        place, next_knot = row * knots + at, int(knots > 1)
        upper = flat[place] * (1.0 - right) + flat[place + next_knot] * right
        place += next_row
        under = flat[place] * (1.0 - right) + flat[place + next_knot] * right
        found: Floats = upper * (1.0 - lower) + under * lower
        return found


def _place(at: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the knot before each place, never the last of several, and how far to the next."""
    before = np.clip(at, 0, max(count - 2, 0)).astype(np.int64)
    return before, np.clip(at - before, 0.0, float(count > 1))


def smooth(at: Floats, way: Floats, residuals: Floats, asked: Floats, its: Floats) -> Floats:
    """Return the residuals that are expected of one number of devices, float64[m].

    Parameters
    ----------
    at, way, residuals
        float64[n] of what was measured: log2 of bytes, the way taken, natural logarithms.
    asked, its
        float64[m], where it is asked: log2 of bytes, and the way there.
    """
    if not len(at):
        return np.zeros(len(asked))
    among = _alike(at, way, at, way) + NOISE * np.eye(len(at))
    weights = np.linalg.solve(among, np.clip(residuals, -MOST, MOST))
    found: Floats = _alike(asked, its, at, way) @ weights
    return found


def _alike(a: Floats, way_a: Floats, b: Floats, way_b: Floats) -> Floats:
    """Return the covariance of residuals at `a` and `b`, float64[len(a), len(b)]."""
    near = np.exp(-0.5 * np.square((a[:, None] - b[None, :]) / OCTAVES))
    return np.where(way_a[:, None] == way_b[None, :], near, 0.0)
