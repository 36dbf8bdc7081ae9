"""Held-out error: fit on some groups of shapes, predict the others, by stratum of time.

A group is all shapes of one (heads, KV heads, head width) or one (n, k). Single rows are never
held out: their neighbours in batch and length would give the answer away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.fitted import Fitted, stratum
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.noise import falls, shares
from tierlab.kernels.ops.table import COLUMNS

Floats = NDArray[np.float64]
STRATA = ("under 20 us", "20-100 us", "over 100 us")
HELD_OUT = 0.25
"""Share of the groups that are left out."""
FEWEST = 100
"""Held-out points under which a stratum is not reported."""


@dataclass(frozen=True)
class Row:
    """Errors of one kernel in one stratum of measured time.

    Attributes
    ----------
    device, kernel, stratum
        What and where.
    points, fitted
        Held-out points, and points that were fitted.
    median, p90, weighted
        Of |predicted / measured - 1|; `weighted` by measured time.
    bias
        Median of predicted / measured - 1.
    coverage
        Share of measurements within p10-p90.
    formula_median
        As `median`, of the formula without its trees.
    falls, falls_2pc
        The data's own noise: share of neighbouring shapes of which the larger took less time, and
        less by over 2% (`noise`).
    worst
        The shape with the largest error, in words.
    """

    device: str
    kernel: str
    stratum: str
    points: int
    fitted: int
    median: float
    p90: float
    weighted: float
    bias: float
    coverage: float
    formula_median: float
    falls: float
    falls_2pc: float
    worst: str


def split(measured: Measured, seed: int = 0) -> tuple[Measured, Measured]:
    """Return the fitted and the held-out part, by group."""
    groups = measured.groups()
    count = int(groups.max()) + 1
    order = np.random.default_rng(seed).permutation(count)
    held = np.isin(groups, order[: max(1, round(count * HELD_OUT))])
    return measured.take(~held), measured.take(held)


def hold_out(
    measured: Measured, machine: Machine, options: Options | None = None, seed: int = 0
) -> list[Row]:
    """Fit on three quarters of the groups and score the rest, one row a stratum."""
    seen, unseen = split(measured, seed)
    return score(fit(seen, machine, options), unseen, machine)


def score(model: Fitted, unseen: Measured, machine: Machine) -> list[Row]:
    """Score a fitted kernel on measurements that it did not see."""
    predicted, low, high, _ = model.predict(unseen.ops, machine)
    bare = model.formula_s(unseen.ops, machine)
    within = (unseen.seconds >= low) & (unseen.seconds <= high)
    fall = falls(unseen)
    rows = []
    for s, name in enumerate(STRATA):
        mine = np.flatnonzero(stratum(unseen.seconds) == s)
        if len(mine) < FEWEST:
            continue
        true = unseen.seconds[mine]
        error = predicted[mine] / true - 1.0
        size = np.abs(error)
        rows.append(
            Row(
                machine.name, unseen.key.label(), name, len(mine), model.points,
                float(np.median(size)), float(np.quantile(size, 0.9)),
                float((size * true).sum() / true.sum()), float(np.median(error)),
                float(within[mine].mean()), float(np.median(np.abs(bare[mine] / true - 1.0))),
                *shares(fall[mine]),
                _spell(unseen, int(mine[np.argmax(size)]), float(error[np.argmax(size)])),
            )
        )  # fmt: skip
    return rows


def _spell(measured: Measured, row: int, error: float) -> str:
    shape = " ".join(f"{n}={measured.ops[n][row]:.0f}" for n in COLUMNS if measured.ops[n][row])
    return f"{shape}: {100 * error:+.0f}% of {measured.seconds[row] * 1e6:.4g} us"
