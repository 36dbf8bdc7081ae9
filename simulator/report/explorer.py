"""Points for the page's own script: the Pareto plot, its filters, and the table of points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tierlab.simulator.choosing.choose import Choice
from tierlab.simulator.choosing.objective import column_of
from tierlab.simulator.report.figures import COST, FIGURES, figure, setting, short_key
from tierlab.simulator.report.markup import data, text
from tierlab.simulator.report.read import RunData
from tierlab.simulator.report.words import meets

CELLS = 60_000
"""Numbers of one page at most; figures that have no name of their own go first."""


def explorer(name: str, packed: Mapping[str, Any]) -> str:
    """Return the place of a plot and its data."""
    return (
        f'<div class="explorer" data-of="{text(name)}"><noscript><p>The plot needs JavaScript; the '
        f"tables do not.</p></noscript></div>{data(name, packed)}"
    )


def of_runs(runs: Sequence[RunData]) -> dict[str, Any]:
    """Return runs as points; the key is their name."""
    rows = [{"design": run.name, **run.figures} for run in runs]
    judged = [meets(run) is not False for run in runs]
    packed = _packed(rows, ("design",), (COST, "ttft_p99_s"), judged, [])
    return packed | {"listed": False}


def of_sweep(choice: Choice) -> dict[str, Any]:
    """Return the points of a sweep that did not fail."""
    rows = [row for row in choice.points.iter_rows(named=True) if row["status"] == "ok"]
    bounds = [
        {"column": column_of(b.name, choice.points.columns), "test": b.test, "bound": b.bound}
        for b in choice.where
    ]
    objectives = [o.column for o in choice.objectives]
    more = [c for c in ("ttft_p99_s", COST, "tpot_p99_s") if c not in objectives]
    axes = [c for c in (*objectives, *more) if c in choice.points.columns]
    packed = _packed(rows, choice.keys, axes, [row["meets"] for row in rows], bounds)
    packed["high"] = {o.column: o.maximise for o in choice.objectives}
    moved = choice.sensitivity["key"].to_list()
    packed["colour"] = next(iter(moved), choice.keys[0] if choice.keys else "")
    return packed


def _packed(
    rows: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    axes: Sequence[str],
    judged: Sequence[bool],
    bounds: list[dict[str, Any]],
) -> dict[str, Any]:
    columns = _columns(rows, keys, axes)
    told = [figure(column) for column in columns]
    return {
        "keys": [{"name": key, "label": short_key(key), **_levels(rows, key)} for key in keys],
        "columns": [
            {"name": f.column, "label": f.label, "kind": f.kind, "high": bool(f.high)} for f in told
        ],
        "rows": [[_small(row.get(column)) for column in columns] for row in rows],
        "points": [row.get("point", i) for i, row in enumerate(rows)],
        "meets": [bool(each) for each in judged],
        "bounds": bounds,
        "axes": [column for column in axes if column in columns][:2],
        "colour": keys[0] if keys else "",
        "listed": True,
    }


def _columns(
    rows: Sequence[Mapping[str, Any]], keys: Sequence[str], axes: Sequence[str]
) -> list[str]:
    """Return the figures that differ, those with a name first, as many as a page may hold."""
    names = dict.fromkeys(name for row in rows for name in row)
    skipped = {"point", "status", "error", "meets", "pareto", *keys}
    useful = [n for n in names if n not in skipped and (n in axes or _differs(rows, n))]
    ordered = sorted(useful, key=lambda n: (n not in axes, n not in FIGURES))
    return ordered[: max(CELLS // max(len(rows), 1), 8)]


def _differs(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [row.get(name) for row in rows]
    known = [v for v in values if isinstance(v, int | float)]
    return len(known) > 0 and any(v != known[0] for v in known)


def _levels(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Return the values of a key in order, as they are written, and which one each point has."""
    values = [row[key] for row in rows]
    numbers = all(isinstance(v, int | float) for v in values)
    known = sorted(set(values)) if numbers else list(dict.fromkeys(values))
    place = {value: i for i, value in enumerate(known)}
    return {
        "levels": [setting(key, value) for value in known],
        "ordered": numbers,
        "of": [place[value] for value in values],
    }


def _small(value: Any) -> float | int | None:
    """Return a number of six digits, so that the page stays small."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return int(value) if isinstance(value, bool) else None
    return value if isinstance(value, int) else float(f"{value:.6g}")
