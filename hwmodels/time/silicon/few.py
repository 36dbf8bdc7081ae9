"""Kernels measured for few groups of shapes, such as the shards of one model.

Half of their groups are an end of some range, so that leaving each out in turn tells what is
beyond it: their bands are of such shapes already, and are not widened again as far as that goes.

Learnt from 101 sets of five to seven groups, each the shards of one model by tensor parallelism,
out of 34 attention kernels that have 37 to 114 (2026-11-21; each quarter of a set's groups held
out, 273 strata of 100 points and more). Bands of 80% held 97% of what lay beyond the fitted
groups and 79% of the rest; now 74% and 80%. Within 75-85% are 64% of the strata, were 40%; the
bands' interval score (Gneiting and Raftery, 2007) fell from 21.6% to 16.4%. Trees that count in
full so far out err less: median 1.72%, was 1.88%, p90 6.4%, was 7.1%. How the trees' own size
depends on the shape cannot be learnt from so few: without, the coverage of strata scatters by 7
points, with by 10. Whether there are trees at all is not for so few to say, either: chosen by the
same folds, medians would be 1.86%. `benchmarks/few_groups.py` draws other such sets.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ranges = Mapping[str, tuple[float, float]]

FEWEST_GROUPS = 12
"""Groups under which a kernel has few."""


def few(groups: Ints) -> bool:
    """Say whether rows, int64[n] their groups from 0, belong to few groups."""
    return int(groups.max()) + 1 < FEWEST_GROUPS


def judged(coordinates: Mapping[str, Floats], fold: Ints) -> dict[str, tuple[float, float]]:
    """Return ranges as far beyond the measured ones as folds lay beyond the others.

    Parameters
    ----------
    coordinates
        Name -> float64[n].
    fold
        int64[n], of each row.

    Returns
    -------
    dict
        Coordinate -> (lowest, highest), where that is farther than measured.
    """
    return {name: ends for name, at in coordinates.items() if (ends := _ends(at, fold))}


def _ends(at: Floats, fold: Ints) -> tuple[float, float] | None:
    low, high = float(at.min()), float(at.max())
    under, over = 0.0, 0.0
    for f in np.unique(fold):
        others = at[fold != f]
        if len(others):
            under = max(under, float(others.min()) - low)
            over = max(over, high - float(others.max()))
    return (low - under, high + over) if under + over > 0.0 else None
