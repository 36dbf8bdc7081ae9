"""Trees for each range of time: launches, traffic and arithmetic leave over different things.

A kernel under 20 us is mostly latency and over 100 us mostly throughput. One forest for each
range, grown also on its neighbours' nearest rows, tells as much as one three times as large, and a
row asks only its own. (2026-11-21, folds within fitted groups of 17 kernels, three ranges against
one forest: errors 2 to 9% smaller in the median and 2 to 5% at the p90.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.constants import STRATA_S
from tierlab.hwmodels.time.silicon.boost import Boosting, grow
from tierlab.hwmodels.time.silicon.packed import Later
from tierlab.hwmodels.time.silicon.trees import Floats, Forest

Features = Mapping[str, Floats]
OVERLAP = 1.5
"""A range learns from times that lie outside it by this factor, so that neighbours meet."""
FEWEST = 300
"""Rows of a range; with fewer it is no range of its own."""


@dataclass(frozen=True, eq=False)
class ByTime:
    """One forest for each range of the formula's time.

    Attributes
    ----------
    cuts_s
        Where the ranges part, rising, s; each belongs to the range below.
    forests
        One more than cuts.
    """

    cuts_s: tuple[float, ...]
    forests: tuple[Forest | Later, ...]

    def __call__(self, features: Features, seconds: Floats) -> Floats:
        """Return the log of the factor on the formula's time, both float64[n]."""
        place = np.searchsorted(self.cuts_s, seconds)
        first = place[0] if len(place) else 0
        if (place == first).all():
            return self.forests[first](features)
        said = np.empty(len(seconds))
        for i, forest in enumerate(self.forests):
            rows = np.flatnonzero(place == i)
            if len(rows):
                said[rows] = forest(features, rows)
        return said


def rows_of(features: Features, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Features:
    """Return some rows of all features."""
    return {name: values[rows] for name, values in features.items()}


def grow_by_time(
    features: Features, residuals: Floats, seconds: Floats, how: Boosting, seed: int = 0
) -> ByTime:
    """Fit a forest to each range of the formula's `seconds` that holds enough rows.

    `features` and `residuals` are what `grow` takes; fewer trees where a range has few rows.
    """
    cuts = _cuts(seconds)
    ends = (0.0, *cuts, np.inf)
    forests = []
    for low, high in pairwise(ends):
        near = np.flatnonzero((seconds > low / OVERLAP) & (seconds <= high * OVERLAP))
        boosting = how.for_points(len(near))
        forests.append(grow(rows_of(features, near), residuals[near], boosting, seed))
    return ByTime(cuts, tuple(forests))


def _cuts(seconds: Floats) -> tuple[float, ...]:
    """Return the ends of strata that leave enough rows on either side."""
    cuts: list[float] = []
    for cut in STRATA_S:
        low = cuts[-1] if cuts else 0.0
        below, above = ((seconds > low) & (seconds <= cut)).sum(), (seconds > cut).sum()
        if min(below, above) >= FEWEST:
            cuts.append(cut)
    return tuple(cuts)
