"""From the points of a sweep to those worth having."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.choosing.objective import (
    Objective,
    Where,
    check_where,
    parse_objective,
)
from tierlab.simulator.choosing.pareto import pareto
from tierlab.simulator.choosing.sensitivity import sensitivity
from tierlab.simulator.results.folder import MARK

if TYPE_CHECKING:
    import polars as pl

DEFAULT = ("cost", "capacity", "throughput", "tpot")
"""The objective where none is asked for: the first that the points have."""
_ACCEPTED = "the folder that `tierlab sweep -o DIR` wrote"


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen among the points of a sweep.

    Attributes
    ----------
    points
        As the sweep's, with `meets` (did not fail, and all bounds hold) and `pareto` (meets, and
        no other such point is as good in every objective and better in one).
    keys
        What varied.
    sensitivity
        Of the first objective, over all points that have it.
    """

    points: pl.DataFrame
    keys: tuple[str, ...]
    objectives: tuple[Objective, ...]
    where: tuple[Where, ...]
    sensitivity: pl.DataFrame

    @property
    def front(self) -> pl.DataFrame:
        """The Pareto set, the best in the first objective first."""
        import polars as pl

        first = self.objectives[0]
        chosen = self.points.filter(pl.col("pareto"))
        return chosen.sort([first.column, "point"], descending=[first.maximise, False])

    def best(self, objective: Objective) -> dict[str, Any] | None:
        """Return the point that meets every bound and is best in one objective."""
        import polars as pl

        able = self.points.filter(pl.col("meets") & pl.col(objective.column).is_not_null())
        order = [objective.column, "point"]
        rows = able.sort(order, descending=[objective.maximise, False]).head(1)
        return next(rows.iter_rows(named=True), None)

    def columns(self) -> list[str]:
        """Return what is shown of a point: its keys, the objectives, the bounded figures."""
        from tierlab.simulator.choosing.objective import column_of

        bounded = [column_of(bound.name, self.points.columns) for bound in self.where]
        shown = ["point", *self.keys, *(o.column for o in self.objectives), *bounded]
        return list(dict.fromkeys(shown))


def choose(
    points: pl.DataFrame,
    keys: Sequence[str],
    objectives: Sequence[str] = (),
    where: Sequence[Where] = (),
) -> Choice:
    """Mark the points that meet the bounds, and the Pareto set among them.

    Parameters
    ----------
    points
        As a sweep returns them.
    objectives
        As `parse_objective` reads them; without one, cost, or what there is in its place.

    Raises
    ------
    BadInput
        A figure that no point has.
    """
    import polars as pl

    numbers = _numbers(points)
    asked = objectives or _default(numbers)
    made = tuple(dict.fromkeys(parse_objective(text, numbers) for text in asked))
    for bound in where:
        check_where(bound, points.columns)
    meets = _meets(points, where)
    signs = [(-1.0 if o.maximise else 1.0) for o in made]
    columns = [points[o.column].cast(pl.Float64).fill_null(np.nan).to_numpy() for o in made]
    costs = np.column_stack([s * c for s, c in zip(signs, columns, strict=True)])
    costs[~meets] = np.nan
    marked = points.with_columns(meets=pl.Series(meets), pareto=pl.Series(pareto(costs)))
    able = points.filter(pl.col("status") == "ok")
    moved = sensitivity(able, keys, made[0].column, made[0].maximise)
    return Choice(marked, tuple(keys), made, tuple(where), moved)


def _numbers(points: pl.DataFrame) -> list[str]:
    """Return the figures that are numbers of some point."""
    import polars as pl

    kinds = {n: kind for n, kind in points.schema.items() if n != "point"}
    numbers = [n for n, kind in kinds.items() if kind.is_numeric() or kind == pl.Boolean]
    return [n for n in numbers if points[n].null_count() < len(points)]


def _default(numbers: Sequence[str]) -> tuple[str, ...]:
    from tierlab.simulator.choosing.objective import column_of

    there = [name for name in DEFAULT if column_of(name, numbers) in numbers]
    if not there:
        raise BadInput("--objective", "no point has a figure; all failed", "a sweep that ran")
    return (there[0],)


def _meets(points: pl.DataFrame, where: Sequence[Where]) -> Any:
    rows = points.iter_rows(named=True)
    return np.array(
        [row["status"] == "ok" and all(bound.holds(row) for bound in where) for row in rows],
        np.bool_,
    )


def load_points(folder: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read the points of a finished sweep, and its manifest.

    Raises
    ------
    BadInput
        The folder holds no finished sweep, or a damaged one.
    """
    from tierlab.simulator.comparison.simulated import read_object, read_table
    from tierlab.simulator.sweep.store import ASKED, POINTS

    if not (folder / MARK).is_file() or not (folder / POINTS).is_file():
        unfinished = (folder / ASKED).is_file()
        what = "holds an unfinished sweep" if unfinished else "holds no sweep"
        accepted = "tierlab sweep SWEEP.toml -o DIR --resume ends it" if unfinished else _ACCEPTED
        raise BadInput("DIR", f"{folder} {what}", accepted)
    manifest = read_object(folder / MARK, _ACCEPTED)
    _check(manifest, folder / MARK)
    return read_table(folder, POINTS, _ACCEPTED), manifest


def _check(manifest: dict[str, Any], path: Path) -> None:
    """Refuse a manifest from which nothing can be chosen."""
    try:
        keys_of(manifest)
        texts = [*manifest["objective"], *manifest["where"]]
    except (KeyError, TypeError):
        texts = [None]
    if not all(isinstance(text, str) for text in texts):
        raise BadInput(str(path), "no whole manifest of a sweep", _ACCEPTED)


def keys_of(manifest: dict[str, Any]) -> tuple[str, ...]:
    """Return the keys that a sweep's manifest says varied."""
    return tuple(key for axis in manifest["axes"] for key in axis["keys"])


def to_json(choice: Choice) -> dict[str, Any]:
    """Return a choice as plain data: what ``--json`` prints of it."""
    shown = choice.columns()
    front = choice.front.select(shown).to_dicts()
    return {
        "objectives": [
            {"name": o.name, "column": o.column, "maximise": o.maximise} for o in choice.objectives
        ],
        "where": [bound.text for bound in choice.where],
        "meets": int(choice.points["meets"].sum()),
        "best": {o.name: _shown(choice.best(o), shown) for o in choice.objectives},
        "pareto": [_plain(row) for row in front],
        "sensitivity": choice.sensitivity.to_dicts(),
    }


def _shown(row: dict[str, Any] | None, columns: Sequence[str]) -> dict[str, Any] | None:
    return None if row is None else _plain({name: row[name] for name in columns})


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that strict JSON can hold."""
    loaded: dict[str, Any] = json.loads(json.dumps(row, default=str))
    return loaded
