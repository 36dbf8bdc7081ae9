"""A kernel model with its parameters: what a calibration holds for one kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.constants import STRATA_S
from tierlab.hwmodels.time.silicon.kernel import Kernel
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import KernelKey
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.hwmodels.time.silicon.surface import Surface, evaluate
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]
BEYOND = 1e-6
"""Slack of a range, in its coordinate: rounding is no extrapolation."""


@dataclass(frozen=True)
class Bands:
    """Factors on the predicted time, one a stratum of `STRATA_S` (by predicted time)."""

    p10: tuple[float, float, float]
    p90: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Fitted:
    """One kernel's model.

    Attributes
    ----------
    key
        What it belongs to.
    schedule, parameters, surface
        Of the formula, and of what the formula leaves over.
    bands
        From residuals of groups that were left out.
    ranges
        Coordinate -> (lowest, highest) measured; outside a row is extrapolated.
    points, groups
        How many measurements, in how many groups of shapes, it was fitted on.
    source
        Where the measurements are from.
    """

    key: KernelKey
    schedule: str
    parameters: Mapping[str, float]
    surface: Surface
    bands: Bands
    ranges: Mapping[str, tuple[float, float]]
    points: int
    groups: int
    source: str

    @property
    def kernel(self) -> Kernel:
        """The model that the parameters belong to."""
        return KERNELS[self.key.op]

    def seconds(self, ops: OpTable, machine: Machine) -> tuple[Floats, NDArray[np.bool_]]:
        """Return times, s, and whether a row lies outside the measured range, both [n]."""
        seconds = self.kernel.seconds(ops, machine, self.schedule, self.parameters)
        at = self.kernel.coordinates(ops)
        beyond = np.zeros(len(ops), np.bool_)
        for name, (low, high) in self.ranges.items():
            beyond |= (at[name] < low - BEYOND) | (at[name] > high + BEYOND)
        if self.surface:
            seconds = seconds * np.exp(evaluate(self.surface, at))
        return seconds, beyond


def stratum(seconds: Floats) -> NDArray[np.int64]:
    """Return 0, 1 or 2: under 20 us, to 100 us, over."""
    return (seconds > STRATA_S[0]).astype(np.int64) + (seconds > STRATA_S[1])
