"""Whether two runs of the same measurements agree within the spread that they report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESULTS = ("seconds", "seconds_p10", "seconds_p90", "samples", "rounds")
"""Columns of a row that say what was found, not what was measured."""
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Agreement:
    """Two runs held against each other, one entry a row that both have.

    Attributes
    ----------
    rows
        Of the first run.
    ratio
        float64[n], the second median over the first.
    overlap
        bool[n], the spreads have a time in common.
    inside
        bool[n], each median lies in the other's spread.
    """

    rows: list[Row]
    ratio: NDArray[np.float64]
    overlap: NDArray[np.bool_]
    inside: NDArray[np.bool_]

    def worst(self, count: int) -> list[tuple[Row, float]]:
        """Return the rows that are furthest apart, with their ratios."""
        order = np.argsort(-np.abs(np.log(self.ratio)))[:count]
        return [(self.rows[i], float(self.ratio[i])) for i in order]


def agreement(first: Sequence[Row], second: Sequence[Row]) -> Agreement:
    """Compare the rows that two runs have in common."""
    there = {_key(row): row for row in second}
    pairs = [(row, there[_key(row)]) for row in first if _key(row) in there]
    a, b = (np.array([[r[c] for c in RESULTS[:3]] for r in side]).reshape(-1, 3) for side in
            ([p[0] for p in pairs], [p[1] for p in pairs]))  # fmt: skip
    overlap = (a[:, 1] <= b[:, 2]) & (b[:, 1] <= a[:, 2])
    return Agreement([p[0] for p in pairs], b[:, 0] / a[:, 0], overlap, _holds(a, b) & _holds(b, a))


def _holds(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where the spread of `a` holds the median of `b`."""
    inside: NDArray[np.bool_] = (a[:, 1] <= b[:, 0]) & (b[:, 0] <= a[:, 2])
    return inside


def _key(row: Row) -> str:
    return json.dumps({k: v for k, v in row.items() if k not in RESULTS}, sort_keys=True)
