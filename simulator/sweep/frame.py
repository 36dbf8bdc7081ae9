"""Rows of points as one Polars frame: the same columns and types whoever ran which point."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tierlab.simulator.sweep.figures import VOLATILE, Row

if TYPE_CHECKING:
    import polars as pl

FIRST = ("point", "status", "error")


def key_columns(keys: Sequence[str], values: Sequence[tuple[Any, ...]]) -> dict[str, pl.Series]:
    """Return a column for each key that varies; values of several kinds become JSON text."""
    columns = zip(*values, strict=True)
    return {key: _series(key, list(column)) for key, column in zip(keys, columns, strict=True)}


def part_frame(rows: Sequence[Row]) -> pl.DataFrame:
    """Return the rows of a part file, as they came."""
    import polars as pl

    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame([_series(name, [row.get(name) for row in rows]) for name in names])


def whole_frame(parts: Sequence[pl.DataFrame], keys: Mapping[str, pl.Series]) -> pl.DataFrame:
    """Return all points in their order: point, keys, status, error, figures.

    Parameters
    ----------
    parts
        As `part_frame` makes them, together each point once.
    keys
        Of every point of the sweep, in order.
    """
    import polars as pl

    rows = pl.concat(parts, how="diagonal_relaxed").sort("point")
    chosen = [series.gather(rows["point"]) for series in keys.values()]
    figures = _in_order(name for name in rows.columns if name not in (*FIRST, *VOLATILE, *keys))
    frame = rows.select("point", *chosen, "status", "error", *figures, *VOLATILE)
    empty = [name for name, kind in frame.schema.items() if kind == pl.Null]
    texts = {name: pl.String if name == "error" else pl.Float64 for name in empty}
    return frame.cast(texts).rechunk()  # type: ignore[arg-type]


def _in_order(names: Iterable[str]) -> list[str]:
    """Return figures without dots first, then tables by name: no order of arrival in it."""
    return sorted(names, key=lambda name: ("." in name, name))


def _series(name: str, values: list[Any]) -> pl.Series:
    """Return a column of the narrowest type that holds its values."""
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    for kind, dtype in ((bool, pl.Boolean), (int, pl.Int64), (str, pl.String)):
        if kinds == {kind}:
            return pl.Series(name, values, dtype=dtype)
    if kinds <= {int, float}:
        return pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64)
    texts = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    return pl.Series(name, texts, dtype=pl.String)
