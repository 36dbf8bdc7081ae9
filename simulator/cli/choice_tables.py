"""A choice as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.units import duration, gib
from tierlab.simulator.choosing.choose import Choice
from tierlab.simulator.cli.tables import pairs, table

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 20
MOST_ERRORS = 5


def counts(points: pl.DataFrame) -> dict[str, Any]:
    """Return how many points there are, how many failed, and of what."""
    bad = points.filter(points["status"] != "ok")["error"]
    errors = bad.value_counts().sort(["count", "error"], descending=[True, False])
    return {
        "points": len(points),
        "failed": len(bad),
        "errors": [{"error": error, "points": count} for error, count in errors.iter_rows()],
    }


def print_choice(choice: Choice, told: dict[str, Any]) -> None:
    """Print counts, the best points, the Pareto set, and what moved the first objective."""
    pairs("points", _counts(choice, told))
    _print_front(choice)
    moved = [_moved(row) for row in choice.sensitivity.iter_rows(named=True)]
    header = ("key", "levels", "effect", "of the mean", "of the variance", "rank corr.", "best at")
    table(f"what moved {choice.objectives[0].column}", header, moved)


def _print_front(choice: Choice) -> None:
    columns = choice.columns()
    front = choice.front.select(columns)
    rows = [[show(n, v) for n, v in zip(columns, row, strict=True)] for row in front.rows()]
    more = f", {MOST_ROWS} shown" if len(rows) > MOST_ROWS else ""
    title = f"Pareto set, {len(rows):,} points{more}"
    if rows:
        table(title, labels(choice), rows[:MOST_ROWS])


def labels(choice: Choice) -> list[str]:
    """Return short headings of the columns shown: objectives by name, keys by their last part."""
    named = {o.column: o.name for o in choice.objectives}
    last = [key.rpartition(".")[2] for key in choice.keys]
    short = {key: end for key, end in zip(choice.keys, last, strict=True) if last.count(end) == 1}
    return [(short | named).get(column, column) for column in choice.columns()]


def _counts(choice: Choice, told: dict[str, Any]) -> list[tuple[str, str]]:
    meets, bounds = told["meets"], " and ".join(told["where"]) or "no bounds"
    rows = [
        ("points", f"{told['points']:,}, {told['failed']:,} failed"),
        ("meet the bounds", f"{meets:,} ({bounds})"),
    ]
    for objective in choice.objectives:
        best = choice.best(objective)
        text = "no point meets the bounds" if best is None else _best(best, choice)
        rows.append((f"best, {objective.text}", text))
    errors = [(f"failed, {e['points']}", e["error"]) for e in told["errors"][:MOST_ERRORS]]
    return rows + errors


def _best(row: dict[str, Any], choice: Choice) -> str:
    keys = ", ".join(f"{key} = {show(key, row[key])}" for key in choice.keys)
    figures = [name for name in choice.columns() if name not in ("point", *choice.keys)]
    told = ", ".join(f"{name} {show(name, row[name])}" for name in figures)
    missing = row.get("completed_share")
    lost = f" ({1 - missing:.1%} of the requests not served)" if missing not in (None, 1.0) else ""
    return f"point {row['point']}: {keys}: {told}{lost}"


def _moved(row: dict[str, Any]) -> list[str]:
    rank = row["rank_correlation"]
    return [
        row["key"],
        str(row["levels"]),
        f"{row['effect']:.4g}",
        "-" if row["relative"] is None else f"{row['relative']:.1%}",
        f"{row['variance_share']:.1%}",
        "-" if rank is None else f"{rank:+.2f}",
        row["best"],
    ]


def show(name: str, value: Any) -> str:
    """Write a value in the unit that its name says."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    if name.endswith(("capacity", "_bytes")):
        return gib(value)
    if name.endswith("_s") and not name.endswith("per_s"):
        return duration(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
