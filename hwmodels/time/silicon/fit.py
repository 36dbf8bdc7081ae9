"""Fit a kernel model to measured times: parameters first, then what they leave over.

Parameters minimise a soft-L1 loss of log(predicted / measured) on points drawn alike from the
three strata of time, so that the many tiny shapes do not outvote the few that take the time. The
band of a prediction comes from groups of shapes that the trees did not see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon import dispatch, engines
from tierlab.hwmodels.time.silicon.apart import apart
from tierlab.hwmodels.time.silicon.bytime import ByTime
from tierlab.hwmodels.time.silicon.curve import Curve
from tierlab.hwmodels.time.silicon.few import few, judged
from tierlab.hwmodels.time.silicon.fitcurve import Formula, band_of, fit_curve
from tierlab.hwmodels.time.silicon.fitragged import ALONE, even_rows, fit_ragged
from tierlab.hwmodels.time.silicon.fitted import Bands, Fitted, stratum
from tierlab.hwmodels.time.silicon.kernel import ENGINE, Kernel, generation, stored
from tierlab.hwmodels.time.silicon.leftover import by_trees
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.registry import model_of
from tierlab.hwmodels.time.silicon.spread import bands, folds
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import DTYPE_BYTES

Floats = NDArray[np.float64]
Report = Callable[[str], None]

FEWEST = 30
"""Measurements under which nothing is fitted."""
FOR_PARAMETERS = 800
FOR_START = 240
FOR_TREES = 40000
SCALE = 0.03
"""Relative error at which the loss turns from square to linear."""
_PRIOR = 0.3
MOST_STEPS = 200
_TRIAL_STEPS = 15


@dataclass(frozen=True)
class Options:
    """How much of the data a fit takes.

    Attributes
    ----------
    points
        Of each kernel, at most; 0 for all.
    trees
        Whether to fit what the formula leaves over.
    seed
        Of the draw.
    """

    points: int = FOR_TREES
    trees: bool = True
    seed: int = 0


class NotConverged(Exception):
    """The optimiser stopped without an answer."""


def fit(
    measured: Measured,
    machine: Machine,
    options: Options | None = None,
    known: Sequence[Fitted] = (),
) -> Fitted:
    """Fit one kernel; `known` are fits of what may have run beside it (`by_itself`).

    Raises
    ------
    BadInput
        There are too few measurements.
    NotConverged
        The optimiser found no minimum.
    """
    how = options or Options()
    measured = by_itself(measured, machine, how, known)
    if len(measured) < FEWEST:
        where = f"{measured.source} ({measured.key.label()})"
        raise BadInput(where, f"only {len(measured)} measurements", f"{FEWEST} or more")
    kernel = model_of(measured, machine)
    ragged = measured.take(~even_rows(measured)) if ALONE in kernel.parameters else None
    if ragged is not None:
        measured = measured.take(even_rows(measured))
    data = measured.take(draw(measured.seconds, how.points or len(measured), how.seed))
    schedule, values = fit_parameters(kernel, [(data, machine)], how.seed)
    trees, band = _left_over(kernel, data, machine, schedule, values, how)
    at, groups = kernel.coordinates(data.ops), data.groups()
    lone = how.trees and not kernel.curved and few(groups)
    one = Fitted(
        measured.key, schedule, values, trees, band,
        {name: (float(c.min()), float(c.max())) for name, c in at.items()},
        len(data), int(groups.max()) + 1, measured.source,
        judged(at, folds(groups, how.seed)) if lone else {},
    )  # fmt: skip
    return fit_ragged(one, ragged, machine, SCALE) if ragged else one


def by_itself(
    measured: Measured, machine: Machine, options: Options | None, known: Sequence[Fitted] = ()
) -> Measured:
    """Return measurements without what ran beside.

    As the last of `known` has it that is of the same key, or else as a fit of its own says.
    """
    if (beside := measured.beside) is None:
        return measured
    same = [k for k in known if k.key == beside.alone.key]
    return apart(measured, same[-1] if same else fit(beside.alone, machine, options), machine)


def draw(seconds: Floats, count: int, seed: int) -> NDArray[np.int64]:
    """Return up to `count` rows, alike many of each stratum of time, in order."""
    rng = np.random.default_rng(seed)
    if count >= len(seconds):
        return np.arange(len(seconds))
    parts = [rng.permutation(np.flatnonzero(stratum(seconds) == s)) for s in range(3)]
    taken, left = [], count
    for rank, part in enumerate(sorted(parts, key=len)):
        share = min(len(part), left // (3 - rank))
        taken.append(part[:share])
        left -= share
    return np.sort(np.concatenate(taken))


def fit_parameters(
    kernel: Kernel, parts: list[tuple[Measured, Machine]], seed: int
) -> tuple[str, dict[str, float]]:
    """Return the schedule that fits best and its parameters; of several devices, one set for all.

    Parameters are those that a file will hold, so that trees grow over what they will be asked.

    Raises
    ------
    NotConverged
        No schedule led to a minimum.
    """
    few, drawn = (_drawn(parts, count, seed) for count in (FOR_START, FOR_PARAMETERS))
    found: list[tuple[float, str, dict[str, float]]] = []
    for schedule in kernel.schedules:
        if may_run(kernel, schedule, parts):
            near, *_ = minimise(kernel, few, schedule, _TRIAL_STEPS)
            values, cost, converged = minimise(kernel, drawn, schedule, MOST_STEPS, near)
            found += [(cost, schedule, values)] if converged else []
    if not found:
        raise NotConverged(kernel.op)
    _, best, values = min(found, key=lambda one: one[0])
    return best, {name: stored(value) for name, value in values.items()}


def may_run(kernel: Kernel, schedule: str, parts: list[tuple[Measured, Machine]]) -> bool:
    """Say whether to try a schedule: an engine's kernel only on the GPUs that it runs on.

    vLLM's tiles of 8-bit products say nothing of wider ones; some kernels only their name tells,
    and one that its name tells runs no other.
    """
    if schedule == dispatch.SCHEDULE:
        return all(bool((DTYPE_BYTES[m.ops.dtype] < 2.0).all()) for m, _ in parts)
    if schedule == ENGINE:
        return len(parts) > 1
    if schedule in kernel.made:
        return all(generation(machine) == kernel.made[schedule] for _, machine in parts)
    names = [m.key.kernel for m, _ in parts]
    if schedule in kernel.marks:
        return len(parts) == 1 and all(kernel.marks[schedule] in name for name in names)
    if all(_told(kernel, name) for name in names):
        mark = kernel.families.get(schedule)
        return mark is not None and all(mark in name for name in names)
    run = {engines.engine(machine, eight=engines.narrow(m.ops)) for m, machine in parts}
    return schedule not in engines.NAMES or run == {schedule}


def _told(kernel: Kernel, name: str) -> bool:
    """Say whether a kernel's name tells its family."""
    return any(mark in name for mark in kernel.families.values())


def _drawn(
    parts: list[tuple[Measured, Machine]], count: int, seed: int
) -> list[tuple[Measured, Machine]]:
    share = count // len(parts)
    return [(m.take(draw(m.seconds, share, seed)), machine) for m, machine in parts]


def minimise(
    kernel: Kernel,
    parts: list[tuple[Measured, Machine]],
    schedule: str,
    steps: int,
    first: Mapping[str, float] | None = None,
) -> tuple[dict[str, float], float, bool]:
    """Return the parameters of one schedule that fit all parts, their cost, and if it settled."""
    from scipy.optimize import least_squares

    known = kernel.of(schedule)
    start, low, high = np.log([(p.start, p.low, p.high) for p in known.values()]).T
    held = _PRIOR * SCALE * np.array([p.firm for p in known.values()])
    x0 = start if first is None else np.clip(np.log(list(first.values())), low, high)
    logs = [np.log(m.seconds) for m, _ in parts]

    def residuals(x: Floats) -> Floats:
        values = dict(zip(known, np.exp(x), strict=True))
        errors = [
            np.log(kernel.seconds(m.ops, machine, schedule, values)) - y
            for (m, machine), y in zip(parts, logs, strict=True)
        ]
        return np.concatenate([*errors, held * (x - start)])

    found = least_squares(
        residuals, x0, bounds=(low, high), loss="soft_l1", f_scale=SCALE,
        max_nfev=steps, ftol=1e-3, xtol=1e-3,
    )  # fmt: skip
    values = {k: float(v) for k, v in zip(known, np.exp(found.x), strict=True)}
    return values, float(found.cost), bool(found.status > 0 and np.isfinite(found.cost))


def _left_over(
    kernel: Kernel,
    data: Measured,
    machine: Machine,
    schedule: str,
    values: Mapping[str, float],
    how: Options,
) -> tuple[ByTime | Curve | None, Bands]:
    """Return what the formula leaves over, and the band around both."""
    formula = kernel.seconds(data.ops, machine, schedule, values)
    if not how.trees:
        return None, bands(np.log(data.seconds / formula), formula)
    if not kernel.curved:
        features = kernel.asked(data.ops, machine, schedule, values, formula)
        return by_trees(data, features, formula, how.seed)

    def refit(seen: Measured) -> Mapping[str, float]:
        return minimise(kernel, [(seen, machine)], schedule, MOST_STEPS, values)[0]

    formula_of = Formula(kernel, machine, schedule)
    return fit_curve(formula_of, data, values), band_of(formula_of, data, refit, how.seed)


def fit_all(
    parts: list[Measured],
    machine: Machine,
    options: Options | None,
    report: Report,
    known: Sequence[Fitted] = (),
) -> list[Fitted]:
    """Fit every kernel, saying how it goes; one that does not converge is left out.

    `known` are those of a calibration that the new ones are added to.
    """
    made: list[Fitted] = []
    for i, part in enumerate(parts):
        name = f"[{i + 1}/{len(parts)}] {part.key.label()}"
        try:
            one = fit(part, machine, options, [*known, *made])
        except NotConverged:
            report(f"{name}: did not converge, not used")
            continue
        report(f"{name}: {one.points:,} of {len(part):,} points, schedule {one.schedule}")
        made.append(one)
    return made
