"""Held-out error: fit on some groups of shapes, predict the others, by stratum of time.

A group is all shapes of one (heads, KV heads, head width) or one (n, k). Single rows are never
held out: their neighbours in batch and length would give the answer away. Each quarter of the
groups is left out once, so that every row is predicted by a fit that saw nothing of its group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.fit import Options, by_itself, fit
from tierlab.hwmodels.time.silicon.fitted import Fitted, stratum
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.noise import falls, shares
from tierlab.hwmodels.time.silicon.windows import answered
from tierlab.kernels.ops.table import COLUMNS

Floats = NDArray[np.float64]
STRATA = ("under 20 us", "20-100 us", "over 100 us")
PARTS = 4
"""Parts of the groups that are left out in turn."""
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
        Held-out points, and points that were fitted, in the mean of the parts.
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


def quarters(measured: Measured, seed: int = 0) -> NDArray[np.int64]:
    """Return the part that each row's group belongs to, 0 to 3, int64[n]."""
    groups = measured.groups()
    count = int(groups.max()) + 1
    place = np.empty(count, np.int64)
    place[np.random.default_rng(seed).permutation(count)] = np.arange(count) * PARTS // count
    found: NDArray[np.int64] = place[groups]
    return found


def split(measured: Measured, seed: int = 0) -> tuple[Measured, Measured]:
    """Return the fitted and the held-out rows where the first quarter is left out."""
    held = quarters(measured, seed) == 0
    return measured.take(~held), measured.take(held)


class Said(NamedTuple):
    """What was predicted of n rows, s: with trees, their band, and by the formula alone."""

    seconds: Floats
    p10: Floats
    p90: Floats
    bare: Floats


def hold_out(
    measured: Measured, machine: Machine, options: Options | None = None, seed: int = 0
) -> list[Row]:
    """Leave out each quarter of the groups in turn and score what is said of it, by stratum.

    Raises
    ------
    NotConverged
        One of the fits found no minimum.
    """
    measured = by_itself(measured, machine, options)
    said, points = in_turn(measured, machine, options, seed)
    return score(said, measured, machine, points)


def in_turn(
    measured: Measured, machine: Machine, options: Options | None = None, seed: int = 0
) -> tuple[Said, int]:
    """Return what is said of each quarter by fits without it, and the points of one fit.

    Raises
    ------
    NotConverged
        One of the fits found no minimum.
    """
    part, said, points = quarters(measured, seed), np.empty((4, len(measured))), []
    for out in (part == p for p in np.unique(part)):
        model = fit(measured.take(~out), machine, options)
        said[:, out] = ask(model, measured.take(out), machine)
        points.append(model.points)
    return Said(*said), round(sum(points) / len(points))


def ask(model: Fitted, unseen: Measured, machine: Machine) -> Said:
    """Return what a fitted kernel says of measurements that it did not see."""
    predicted = model.predict(unseen.ops, machine)
    return Said(*predicted[:3], model.formula_s(unseen.ops, machine))


def score(said: Said, unseen: Measured, machine: Machine, fitted: int) -> list[Row]:
    """Score what was said of measurements, a row a stratum; `fitted`: points that were seen.

    Of those that predictions ask of this model: dropped windows are another's (`windows`).
    """
    predicted, low, high, bare = said
    within = (unseen.seconds >= low) & (unseen.seconds <= high)
    fall, own = falls(unseen), answered(unseen)
    rows = []
    for s, name in enumerate(STRATA):
        mine = np.flatnonzero((stratum(unseen.seconds) == s) & own)
        if len(mine) < FEWEST:
            continue
        true = unseen.seconds[mine]
        error = predicted[mine] / true - 1.0
        size = np.abs(error)
        rows.append(
            Row(
                machine.name, unseen.key.label(), name, len(mine), fitted,
                float(np.median(size)), float(np.quantile(size, 0.9)),
                float((size * true).sum() / true.sum()), float(np.median(error)),
                float(within[mine].mean()), float(np.median(np.abs(bare[mine] / true - 1.0))),
                *shares(fall[mine]),
                _spell(unseen, int(mine[np.argmax(size)]), float(error[np.argmax(size)])),
            )
        )  # fmt: skip
    return rows


def _spell(measured: Measured, row: int, error: float) -> str:
    shape = " ".join(f"{n}={measured.ops[n][row]:.10g}" for n in COLUMNS if measured.ops[n][row])
    return f"{shape}: {100 * error:+.0f}% of {measured.seconds[row] * 1e6:.4g} us"
