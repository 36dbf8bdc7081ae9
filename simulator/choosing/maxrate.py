"""The highest arrival rate at which a point still meets its service level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.choosing.objective import Where

if TYPE_CHECKING:
    from tierlab.simulator.scenario.schema import Scenario

TOLERANCE = 0.05
DOUBLINGS = 12
"""A rate is sought from 1/4096 to 4096 times the scenario's own."""
ATTAINMENT = Where("slo_attainment", ">=", 0.99)
"""The service level where only ``[slo]`` says one: 99% of all requests meet it."""


@dataclass(frozen=True)
class MaxRate:
    """What the highest rate has to hold.

    Attributes
    ----------
    where
        Bounds on the figures of a run; empty: `ATTAINMENT` of the scenario's ``[slo]``.
    tolerance
        The rates that hold and fail differ by at most this share of the lower.
    """

    where: tuple[Where, ...] = ()
    tolerance: float = TOLERANCE

    def check(self, at: str) -> None:
        """Refuse a tolerance that bisection could not reach.

        Raises
        ------
        BadInput
            It is not from 0.001 to 1.
        """
        number = isinstance(self.tolerance, int | float) and not isinstance(self.tolerance, bool)
        if not number or not 0.001 <= self.tolerance <= 1:
            raise BadInput(at, f"{self.tolerance!r} is no share", "0.001 to 1")

    def holds(self, figures: Mapping[str, Any]) -> bool:
        """Say whether a run's figures meet the service level."""
        return all(bound.holds(figures) for bound in self.where or (ATTAINMENT,))


@dataclass(frozen=True)
class Found:
    """Where a condition stops to hold.

    Attributes
    ----------
    holds, fails
        The highest multiple tried that holds below every one that fails, and the lowest that
        fails above it; None where no such was found.
    tried
        (multiple, whether it holds) of every trial, in order.
    """

    holds: float | None
    fails: float | None
    tried: tuple[tuple[float, bool], ...]

    @property
    def monotone(self) -> bool:
        """Whether no multiple that was tried holds above one that fails."""
        verdicts = [held for _, held in sorted(self.tried)]
        return verdicts == sorted(verdicts, reverse=True)


def highest(holds: Callable[[float], bool], tolerance: float) -> Found:
    """Double or halve from 1 until the condition changes, then halve the bracket's logarithm.

    Right where what holds at a rate holds at every lower one; where it does not, the bracket
    still has one change from holding to failing.
    """
    tried: list[tuple[float, bool]] = []

    def at(multiple: float) -> bool:
        tried.append((multiple, holds(multiple)))
        return tried[-1][1]

    up = at(1.0)
    low, high = (1.0, None) if up else (None, 1.0)
    edge = 1.0
    for _ in range(DOUBLINGS):
        edge = edge * 2 if up else edge / 2
        held = at(edge)
        low, high = (edge, high) if held else (low, edge)
        if held != up:
            break
    while low is not None and high is not None and high > low * (1 + tolerance):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if at(middle) else (low, middle)
    return Found(low, high, tuple(tried))


def at_multiple(scenario: Scenario, multiple: float) -> Scenario:
    """Return the scenario with its arrivals so many times as fast.

    Raises
    ------
    BadInput
        A closed loop whose sessions start as logged: its rate follows from the answers.
    """
    workload = scenario.workload
    changed: dict[str, float]
    if workload.arrivals == "open":
        changed = {"arrival_scale": workload.arrival_scale / multiple}
    elif workload.arrivals == "closed":
        if workload.session_starts != "poisson":
            what = "a closed loop whose sessions start as logged has no rate of its own"
            raise BadInput("workload.arrivals", what, 'session_starts = "poisson", or open')
        changed = {"sessions_per_s": workload.sessions_per_s * multiple}
    else:
        changed = {"rate_per_s": (workload.rate_per_s or 1.0) * multiple}
    return scenario.model_copy(update={"workload": workload.model_copy(update=changed)})


def rate_per_s(scenario: Scenario) -> float:
    """Return the scenario's own rate: requests/s, and sessions/s of a closed loop.

    Raises
    ------
    BadInput
        The requests of an open log all arrive at once.
    """
    workload = scenario.workload
    if workload.arrivals == "closed":
        return workload.sessions_per_s
    if workload.rate_per_s is not None:
        return workload.rate_per_s
    from tierlab.simulator.workload import load_workload

    arrival_s = load_workload(workload, scenario.seed).arrival_s
    lasts_s = float(arrival_s[-1] - arrival_s[0])
    if lasts_s <= 0:
        raise BadInput("workload", "all requests arrive at once", 'arrivals = "poisson"')
    return (len(arrival_s) - 1) / lasts_s


def check_level(scenario: Scenario, asked: MaxRate) -> None:
    """Refuse to seek a rate that nothing bounds.

    Raises
    ------
    BadInput
        Neither ``--where`` nor ``[slo]`` says a service level.
    """
    slo = scenario.slo
    if not asked.where and slo.ttft_s is None and slo.tpot_s is None:
        raise BadInput("--max-rate", "no service level", '--where "ttft_p99_s<=2", or [slo]')


def seek(
    scenario: Scenario, asked: MaxRate, figures_of: Callable[[Scenario], dict[str, Any]]
) -> dict[str, Any]:
    """Return the figures of the run at the highest rate that holds, and how it was found.

    Where no rate holds, the figures are of the lowest rate tried, and `max_rate_per_s` is 0.

    Raises
    ------
    BadInput
        As `at_multiple`, `rate_per_s` and `check_level`; or what a run raises.
    """
    check_level(scenario, asked)
    at_multiple(scenario, 1.0)
    own_per_s = rate_per_s(scenario)
    kept: dict[float, dict[str, Any]] = {}

    def holds(multiple: float) -> bool:
        figures = figures_of(at_multiple(scenario, multiple))
        held = asked.holds(figures)
        if held or multiple == min([multiple, *kept]):
            kept[multiple] = figures
        return held

    found = highest(holds, asked.tolerance)
    at = min(kept) if found.holds is None else found.holds
    return kept[at] | {
        "max_rate_per_s": own_per_s * found.holds if found.holds is not None else 0.0,
        "max_rate_fails_per_s": None if found.fails is None else own_per_s * found.fails,
        "max_rate_bounded": found.fails is not None,
        "max_rate_monotone": found.monotone,
        "max_rate_trials": len(found.tried),
    }


def with_where(asked: MaxRate | None, where: tuple[Where, ...]) -> MaxRate | None:
    """Return the search with other bounds, where there are any."""
    return replace(asked, where=where) if asked is not None and where else asked
