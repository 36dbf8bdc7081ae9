"""The points of a sweep, and which of them the schema refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.load import put, validate
from tierlab.simulator.sweep.read import Sweep, copied

if TYPE_CHECKING:
    from tierlab.simulator.scenario.schema import Scenario


@dataclass(frozen=True)
class Point:
    """One point: its place in the sweep, and the values of the keys that vary."""

    index: int
    values: tuple[Any, ...]


def points_of(sweep: Sweep) -> Iterator[Point]:
    """Yield the product of the axes, the last one fastest."""
    product = itertools.product(*(axis.rows for axis in sweep.axes))
    for index, rows in enumerate(product):
        yield Point(index, tuple(itertools.chain.from_iterable(rows)))


def data_of(sweep: Sweep, point: Point) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return a point's scenario, and its plan where it is planned, as plain data.

    A table is written before the keys inside it.
    """
    scenario, plan = copied(sweep.base), None if sweep.plan is None else dict(sweep.plan)
    settings = zip(sweep.keys, point.values, strict=True)
    for key, value in sorted(settings, key=lambda pair: pair[0].count(".")):
        if plan is not None and key.startswith("plan."):
            plan[key.removeprefix("plan.")] = value
        else:
            put(scenario, key.split("."), copied(value), f"{sweep.name}, key {key}")
    return scenario, plan


def check_points(sweep: Sweep, points: Sequence[Point]) -> list[Scenario | BadInput]:
    """Return each point's scenario, or why the schema refuses it.

    Raises
    ------
    BadInput
        Some value has no point that the schema accepts: an unknown key, a wrong type.
    """
    checked = [_checked(sweep, point) for point in points]
    usable = [
        {repr(point.values[column]) for point, c in zip(points, checked, strict=True) if _good(c)}
        for column in range(len(sweep.keys))
    ]
    for point, found in zip(points, checked, strict=True):
        stuck = (repr(v) not in column for v, column in zip(point.values, usable, strict=True))
        if isinstance(found, BadInput) and any(stuck):
            raise found
    return checked


def _good(found: Scenario | BadInput) -> bool:
    return not isinstance(found, BadInput)


def _checked(sweep: Sweep, point: Point) -> Scenario | BadInput:
    try:
        scenario, plan = data_of(sweep, point)
        check_plan(plan, sweep.name)
        return validate(scenario, sweep.name)
    except BadInput as error:
        return error


def check_plan(plan: dict[str, Any] | None, where: str) -> None:
    """Refuse a context or batch that is no number of tokens or requests.

    Raises
    ------
    BadInput
        As said.
    """
    for key, value in (plan or {}).items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BadInput(f"{where}, key plan.{key}", f"{value!r} is none", "an integer from 1")
