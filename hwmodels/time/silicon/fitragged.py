"""Fit what ragged decode batches alone show: the pace of a CTA that runs alone.

All else is fitted to even batches, trees included, and stays as it is: of held-out ragged batches
this predicts more than a joint fit does (docs/results/silicon.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.fitted import RAGGED, Fitted
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import Measured

ALONE = "alone"
"""The parameter that only ragged batches show."""
_TRIED = 9
"""First values: where memory sets the pace, a little more or less changes nothing."""


def even_rows(data: Measured) -> NDArray[np.bool_]:
    """Say which batches are even, bool[n]."""
    found: NDArray[np.bool_] = data.ops["kv_len_spread"] == 0
    return found


def fit_ragged(one: Fitted, ragged: Measured, machine: Machine, scale: float) -> Fitted:
    """Return the kernel with `ALONE` fitted to ragged batches, and their range.

    `scale` is the relative error at which the loss turns from square to linear.
    """
    from scipy.optimize import least_squares

    known = one.kernel.parameters[ALONE]
    factor = one.seconds(ragged.ops, machine)[0] / one.formula_s(ragged.ops, machine)

    def with_alone(x: float) -> dict[str, float]:
        return {**one.parameters, ALONE: float(np.exp(x))}

    def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
        values = with_alone(x[0])
        seconds = one.kernel.seconds(ragged.ops, machine, one.schedule, values)
        errors: NDArray[np.float64] = np.log(seconds * factor / ragged.seconds)
        return errors

    low, start, high = np.log([known.low, known.start, known.high])
    tried = [start, *np.linspace(low, high, _TRIED)]
    first = min(tried, key=lambda x: float(np.abs(residuals(np.array([x]))).sum()))
    found = least_squares(residuals, [first], bounds=(low, high), loss="soft_l1", f_scale=scale)
    most = float(one.kernel.coordinates(ragged.ops)[RAGGED].max())
    ranges = {**one.ranges, RAGGED: (0.0, most)}
    points = one.points + len(ragged)
    return replace(one, parameters=with_alone(found.x[0]), ranges=ranges, points=points)
