"""``SWEEP.toml``: a base scenario, what varies, and what is asked of the points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.simulator.choosing.maxrate import TOLERANCE, MaxRate
from tierlab.simulator.choosing.objective import Where, parse_where
from tierlab.simulator.scenario.load import (
    anchor_paths,
    apply_settings,
    put,
    read_scenario,
    read_toml,
)
from tierlab.simulator.sweep.axes import Axis, make_axes

KEYS = ("title", "seed", "scenario", "plan", "vary", "zip", "choose")
PLAN = ("context", "batch")
CHOOSE = ("objective", "where", "max_rate", "tolerance")


@dataclass(frozen=True)
class Sweep:
    """A sweep as asked for.

    Attributes
    ----------
    base
        The scenario that every point starts from, as data.
    plan
        ``context`` and ``batch`` where points are planned; None where they are simulated.
    axes
        Their product are the points, the last axis fastest.
    objectives, where
        What ``tierlab sweep`` prints, unless its options say otherwise.
    max_rate
        How the highest rate of each point is sought; None: each point is run once.
    """

    name: str
    title: str
    base: dict[str, Any]
    plan: dict[str, Any] | None
    axes: tuple[Axis, ...]
    objectives: tuple[str, ...] = ()
    where: tuple[Where, ...] = ()
    max_rate: MaxRate | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that varies."""
        return tuple(key for axis in self.axes for key in axis.keys)

    @property
    def size(self) -> int:
        """The number of points."""
        return math.prod(len(axis) for axis in self.axes)


def read_sweep(path: Path, settings: Sequence[str] = ()) -> Sweep:
    """Read a sweep file; paths inside are relative to it.

    Parameters
    ----------
    settings
        ``key=value`` of the base scenario, as ``--set`` takes them.

    Raises
    ------
    BadInput
        Broken TOML, an unknown or missing key, an axis that cannot be.
    """
    found = make_sweep(read_toml(path, "SWEEP"), str(path), path.parent)
    apply_settings(found.base, settings)
    return found


def make_sweep(data: Mapping[str, Any], name: str = "sweep", folder: Path = Path()) -> Sweep:
    """Return the sweep that plain data describes, as read from ``SWEEP.toml``.

    Raises
    ------
    BadInput
        As `read_sweep`.
    """
    _refuse_unknown(data, KEYS, name)
    seed, title = data.get("seed", 0), data.get("title", "")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise BadInput(f"{name}, key seed", f"{seed!r} is no seed", "an integer of 0 or more")
    if not isinstance(title, str):
        raise BadInput(f"{name}, key title", f"{title!r} is no text", "one line")
    zips = data.get("zip", [])
    if not isinstance(zips, list):
        raise BadInput(f"{name}, key zip", f"{zips!r} is no array of tables", "[[zip]]")
    plan = _plan(data, name)
    axes = make_axes(_table(data, "vary", name), zips, seed, name)
    axes = tuple(_anchored(axis, folder) for axis in axes)
    choose = _choose(data, name)
    _needs_simulation(plan, choose["max_rate"], axes, name)
    return Sweep(name, title, _base(data, name, folder, plan), plan, axes, **choose)


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise BadInput(where, f"unknown key {key!r}", near(key, known))


def _table(data: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise BadInput(f"{name}, key {key}", f"{value!r} is no table", f"[{key}]")
    return value


def _base(
    data: Mapping[str, Any], name: str, folder: Path, plan: dict[str, Any] | None
) -> dict[str, Any]:
    value = data.get("scenario")
    if isinstance(value, str):
        base = read_scenario(folder / Path(value).expanduser())
    elif isinstance(value, dict):
        base = copied(value)
        anchor_paths(base, folder)
    else:
        what = "is missing" if value is None else f"{value!r} is no scenario"
        raise BadInput(f"{name}, key scenario", what, 'scenario = "file.toml" or [scenario]')
    if plan is not None:
        base.setdefault("workload", {"generator": "poisson"})
    return base


def copied(value: Any) -> Any:
    """Return plain data that shares no table or list with `value`."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def _plan(data: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    if "plan" not in data:
        return None
    plan = _table(data, "plan", name)
    _refuse_unknown(plan, PLAN, f"{name}, key plan")
    return plan


def _anchored(axis: Axis, folder: Path) -> Axis:
    """Make varying paths relative to the sweep file, as those of a scenario are to theirs."""
    rows = tuple(
        tuple(_anchor(key, value, folder) for key, value in zip(axis.keys, row, strict=True))
        for row in axis.rows
    )
    return Axis(axis.keys, rows, axis.kind)


def _anchor(key: str, value: Any, folder: Path) -> Any:
    if not isinstance(value, str | dict):
        return value
    parts = key.split(".")
    data: dict[str, Any] = {}
    put(data, parts, copied(value), key)
    anchor_paths(data, folder)
    for part in parts:
        data = data[part]
    return data


def _choose(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    table, at = _table(data, "choose", name), f"{name}, key choose"
    _refuse_unknown(table, CHOOSE, at)
    where = tuple(parse_where(text, f"{at}.where") for text in _texts(table, "where", at))
    asked = table.get("max_rate", False)
    if not isinstance(asked, bool):
        raise BadInput(f"{at}.max_rate", f"{asked!r} is no yes or no", "true or false")
    max_rate = MaxRate(where, table.get("tolerance", TOLERANCE)) if asked else None
    if max_rate is not None:
        max_rate.check(f"{at}.tolerance")
    return {
        "objectives": tuple(_texts(table, "objective", at)),
        "where": where,
        "max_rate": max_rate,
    }


def _texts(table: Mapping[str, Any], key: str, at: str) -> list[str]:
    value = table.get(key, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadInput(f"{at}.{key}", f"{value!r} is no list of text", f'{key} = ["..."]')
    return texts


def _needs_simulation(
    plan: dict[str, Any] | None, max_rate: MaxRate | None, axes: tuple[Axis, ...], name: str
) -> None:
    """Refuse what fits only the other kind of point."""
    varied = [key for axis in axes for key in axis.keys if key.split(".")[0] == "plan"]
    if plan is None and varied:
        raise BadInput(f"{name}, key {varied[0]}", "points are simulated", "a table [plan]")
    for key in varied:
        if key.removeprefix("plan.") not in PLAN:
            raise BadInput(
                f"{name}, key {key}", "unknown key", near(key, ("plan.context", "plan.batch"))
            )
    if plan is not None and max_rate is not None:
        raise BadInput(f"{name}, key choose.max_rate", "plans have no rate", "no table [plan]")
    if plan is not None and "context" not in plan and "plan.context" not in varied:
        raise BadInput(f"{name}, key plan.context", "is missing", "tokens of a request")
