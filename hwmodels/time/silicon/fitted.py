"""A kernel model with its parameters: what a calibration holds for one kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.constants import STRATA_S
from tierlab.hwmodels.time.silicon.bytime import ByTime
from tierlab.hwmodels.time.silicon.kernel import Kernel
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import KernelKey
from tierlab.hwmodels.time.silicon.packed import Later
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.hwmodels.time.silicon.repeats import run_starts
from tierlab.hwmodels.time.silicon.trees import Forest
from tierlab.hwmodels.time.silicon.uneven import even
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]
BEYOND = 1e-6
"""Slack of a range, in its coordinate: rounding is no extrapolation."""
_WIDTHS = np.array([[1.0], [1.5]])
"""Of a row's band, within and beyond what was measured; the latter an assumption (2026-11-21)."""


@dataclass(frozen=True, eq=False)
class Bands:
    """The band around a predicted time.

    Attributes
    ----------
    p10, p90
        Factors on the time, one a stratum of `STRATA_S` (by predicted time).
    spread
        How the logarithms of these factors depend on the shape: its exponential scales them.
    """

    p10: tuple[float, float, float]
    p90: tuple[float, float, float]
    spread: Forest | Later | None = None


class Predicted(NamedTuple):
    """Times of n rows, s, and the band that 80% lie in; `beyond`: outside what was measured."""

    seconds: Floats
    p10: Floats
    p90: Floats
    beyond: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Fitted:
    """One kernel's model.

    Attributes
    ----------
    key
        What it belongs to.
    schedule, parameters
        Of the formula.
    trees
        What the formula leaves over, if that was fitted.
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
    trees: ByTime | None
    bands: Bands
    ranges: Mapping[str, tuple[float, float]]
    points: int
    groups: int
    source: str

    @property
    def kernel(self) -> Kernel:
        """The model that the parameters belong to."""
        return KERNELS[self.key.op]

    def predict(self, ops: OpTable, machine: Machine) -> Predicted:
        """Return times and their bands.

        What the trees say counts half as much for each octave outside the range: far away the
        formula stands alone, and its band is wider.
        """
        seconds, far = self.formula_s(ops, machine), self._outside(ops)
        beyond = far > BEYOND
        factor, width = self._learnt(ops, machine, seconds)
        if factor is not None:
            seconds = seconds * np.exp(factor * np.exp2(-far))
        place = beyond.astype(np.intp), stratum(seconds)
        if width is None:
            low, high = (np.array(b) ** _WIDTHS for b in (self.bands.p10, self.bands.p90))
            return Predicted(seconds, seconds * low[place], seconds * high[place], beyond)
        logs = (np.log(b) * _WIDTHS for b in (self.bands.p10, self.bands.p90))
        low, high = (np.exp(log[place] * np.exp(width)) for log in logs)
        return Predicted(seconds, seconds * low, seconds * high, beyond)

    def _learnt(
        self, ops: OpTable, machine: Machine, seconds: Floats
    ) -> tuple[Floats | None, Floats | None]:
        """Return logs of the trees' factor and of the band's width; None where not fitted.

        Of ragged batches, those of even ones with as many keys, asked once for each run of them.
        """
        trees, spread = self.trees, self.bands.spread
        if trees is None and spread is None:
            return None, None
        place = None
        if ops["kv_len_spread"].any():
            starts = run_starts(ops, np.arange(len(ops)), but="kv_len_spread")
            place, ops = np.cumsum(starts) - 1, even(ops.take(starts))
            seconds = self.formula_s(ops, machine)
        asked = self.kernel.asked(ops, machine, self.schedule, self.parameters, seconds)
        said = (
            None if trees is None else trees(asked, seconds),
            None if spread is None else spread(asked),
        )
        factor, width = (v if v is None or place is None else v[place] for v in said)
        return factor, width

    def seconds(self, ops: OpTable, machine: Machine) -> tuple[Floats, NDArray[np.bool_]]:
        """Return times, s, and whether a row lies outside the measured range, both [n]."""
        found = self.predict(ops, machine)
        return found.seconds, found.beyond

    def formula_s(self, ops: OpTable, machine: Machine) -> Floats:
        """Return the times of the formula alone, s, float64[n]."""
        return self.kernel.seconds(ops, machine, self.schedule, self.parameters)

    def _outside(self, ops: OpTable) -> Floats:
        """Return how far a row lies outside the range, in its farthest coordinate, float64[n]."""
        at, far = self.kernel.coordinates(ops), np.zeros(len(ops))
        for name, (low, high) in self.ranges.items():
            np.maximum(far, np.maximum(low - at[name], at[name] - high), out=far)
        return far


def stratum(seconds: Floats) -> NDArray[np.int64]:
    """Return 0, 1 or 2: under 20 us, to 100 us, over."""
    return (seconds > STRATA_S[0]).astype(np.int64) + (seconds > STRATA_S[1])
