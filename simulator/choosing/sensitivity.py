"""Which key moved the answer most: main effects and rank correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.units import gib

if TYPE_CHECKING:
    import polars as pl

MOST_LEVELS = 8
ROUNDING = 1e-12
"""Means over levels as near to the whole's as this, relatively, differ by rounding alone."""
COLUMNS = {
    "key": "a key that varies",
    "levels": "its values, or the groups of equal count that they were put in",
    "effect": "range of the mean objective over the levels, in the objective's unit",
    "relative": "the effect over the absolute mean of the objective",
    "variance_share": "variance of those means over the variance of the objective, 0 to 1",
    "rank_correlation": "Spearman's, of numbers with three values or more; otherwise null",
    "best": "the level with the best mean; a group by its range",
}


def sensitivity(
    points: pl.DataFrame, keys: Sequence[str], column: str, maximise: bool
) -> pl.DataFrame:
    """Return one row a key with the columns of `COLUMNS`, the largest effect first.

    Parameters
    ----------
    points
        The points to compare; those without the figure are left out.
    """
    import polars as pl

    known = points.filter(pl.col(column).is_not_null())
    values = known[column].cast(pl.Float64).to_numpy()
    rows = [_row(known[key], values, maximise) for key in keys] if len(values) else []
    kinds = [pl.String, pl.Int64, *[pl.Float64] * 4, pl.String]
    frame = pl.DataFrame(rows, schema=dict(zip(COLUMNS, kinds, strict=True)), orient="row")
    return frame.sort("effect", "key", descending=[True, False])


def _row(key: pl.Series, values: NDArray[np.float64], maximise: bool) -> tuple[Any, ...]:
    names, level = _levels(key)
    count = np.bincount(level, minlength=len(names))
    means = np.bincount(level, values, minlength=len(names)) / count
    whole, spread = float(values.mean()), float(values.var())
    means[np.abs(means - whole) <= ROUNDING * np.abs(values).max()] = whole
    effect = float(means.max() - means.min())
    between = float((count * (means - whole) ** 2).sum() / len(values))
    return (
        key.name,
        len(names),
        effect,
        effect / abs(whole) if whole else None,
        min(1.0, between / spread) if spread > 0 else 0.0,
        _rank_correlation(key, values),
        names[int(means.argmax() if maximise else means.argmin())],
    )


def _levels(key: pl.Series) -> tuple[list[str], NDArray[np.int64]]:
    """Return names of levels, and the level of each point; many numbers become groups."""
    distinct = key.unique().sort()
    if len(distinct) <= MOST_LEVELS or not key.dtype.is_numeric():
        names = [_text(key.name, value) for value in distinct]
        index = {value: i for i, value in enumerate(distinct)}
        return names, np.array([index[value] for value in key], np.int64)
    order = distinct.to_numpy().searchsorted(key.to_numpy())
    level = order * MOST_LEVELS // len(distinct)
    parts = [
        distinct.to_numpy()[np.arange(len(distinct)) * MOST_LEVELS // len(distinct) == i]
        for i in range(MOST_LEVELS)
    ]
    return [_ends(key.name, part) for part in parts], level.astype(np.int64)


def _ends(key: str, part: NDArray[Any]) -> str:
    first, last = (_text(key, float(value)) for value in (part[0], part[-1]))
    return first if first == last else f"{first} to {last}"


def _text(key: str, value: Any) -> str:
    if isinstance(value, float):
        return gib(value) if key.endswith("capacity") else f"{value:.6g}"
    return str(value)


def _rank_correlation(key: pl.Series, values: NDArray[np.float64]) -> float | None:
    if not key.dtype.is_numeric() or key.n_unique() < 3 or np.ptp(values) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(key.to_numpy(), values).statistic)
