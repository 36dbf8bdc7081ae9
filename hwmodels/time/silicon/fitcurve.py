"""Fit a `Curve` to what a formula of messages leaves over, and the band around both.

The band comes from sizes that neither the curve nor the formula's parameters saw: with some
sixty measurements and fifteen parameters, a formula that saw a size tells nothing of its error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.curve import DIGITS, STEP, Curve, smooth
from tierlab.hwmodels.time.silicon.fitted import Bands
from tierlab.hwmodels.time.silicon.kernel import Kernel, stored
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.spread import NARROWER, bands, folds
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]
Values = Mapping[str, float]


class Formula(NamedTuple):
    """A kernel's formula on a machine, without its values."""

    kernel: Kernel
    machine: Machine
    schedule: str

    def seconds(self, ops: OpTable, values: Values) -> Floats:
        """Return the times, float64[n]."""
        return self.kernel.seconds(ops, self.machine, self.schedule, values)

    def features(self, ops: OpTable, values: Values) -> Mapping[str, Floats]:
        """Return the features of each row: ``bytes`` and ``way`` among them."""
        return self.kernel.asked(
            ops, self.machine, self.schedule, values, self.seconds(ops, values)
        )


def fit_curve(formula: Formula, data: Measured, values: Values) -> Curve:
    """Return the curve of what a formula with these values leaves over, as a file will hold it."""
    at, counts = formula.features(data.ops, values), data.ops["devices"]
    left = np.log(data.seconds / formula.seconds(data.ops, values))
    first, last = stored(float(at["bytes"].min())), float(at["bytes"].max())
    knots: Floats = first + STEP * np.arange(np.ceil((last - first) / STEP) + 1.0)
    logs = []
    for count in np.unique(counts):
        asked = OpTable.build(
            formula.kernel.op, "bf16", "none", devices=count, bytes=np.exp2(knots)
        )
        its, mine = formula.features(asked, values)["way"], counts == count
        said = smooth(at["bytes"][mine], at["way"][mine], left[mine], knots, its)
        logs.append([round(v, DIGITS) for v in said.tolist()])
    return Curve(np.log2(np.unique(counts)), first, np.array(logs))


def band_of(
    formula: Formula, data: Measured, refit: Callable[[Measured], Values], seed: int
) -> Bands:
    """Return the band around a formula with its curve, from sizes that a refit did not see."""
    fold, said = folds(data.groups(), seed), np.zeros(len(data))
    for out in (fold == f for f in np.unique(fold)):
        seen, asked = data.take(~out), data.ops.take(out)
        values = refit(seen)
        seconds = formula.seconds(asked, values)
        log_factor = fit_curve(formula, seen, values)(formula.kernel.coordinates(asked), seconds)
        said[out] = np.log(seconds) + log_factor
    return bands(np.log(data.seconds) - said, np.exp(said), NARROWER)
