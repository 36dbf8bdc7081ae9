"""What a formula leaves over, as trees, and the band around what they say of unseen groups."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.boost import Boosting
from tierlab.hwmodels.time.silicon.bytime import ByTime, grow_by_time, rows_of
from tierlab.hwmodels.time.silicon.few import few
from tierlab.hwmodels.time.silicon.fitted import Bands
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.spread import NARROWER, Rows, bands, folds, spread_bands, unseen

Floats = NDArray[np.float64]


def by_trees(
    data: Measured, features: Mapping[str, Floats], formula: Floats, seed: int
) -> tuple[ByTime | None, Bands]:
    """Return the trees, and the band around what they say of groups that they did not see.

    No trees where they tell less of such groups than the formula does, and bands that depend on the
    shape, if there are enough groups to say.
    """
    residuals = np.log(data.seconds / formula)
    boosting, fold = Boosting(), folds(data.groups(), seed)

    def learn(seen: Rows, out: Rows) -> Floats:
        known = rows_of(features, seen)
        trees = grow_by_time(known, residuals[seen], formula[seen], boosting, seed)
        return trees(rows_of(features, out), formula[out])

    said = unseen(fold, learn)
    left, predicted = residuals - said, formula * np.exp(said)
    if not (some := few(data.groups())) and _typical(left) > _typical(residuals):
        return None, spread_bands(features, residuals, formula, fold, seed)
    trees = grow_by_time(features, residuals, formula, boosting, seed)
    if some:
        return trees, bands(left, predicted)
    return trees, spread_bands(features, left, predicted, fold, seed, NARROWER)


def _typical(errors: Floats) -> float:
    """Return the geometric mean of median and 90% quantile of the sizes: both count."""
    return float(np.sqrt(np.prod(np.quantile(np.abs(errors), (0.5, 0.9)))))
