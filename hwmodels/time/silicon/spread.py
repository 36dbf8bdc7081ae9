"""Bands: how far measurements lie from what a fit says of groups that it did not see.

Residuals come from folds over groups. A few trees learn how their size depends on the shape, the
residuals are divided by it, and their quantiles in each stratum of predicted time make the band:
conformal prediction, normalised (Papadopoulos et al., 2002) and by category (Vovk et al., 2003).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.boost import Boosting, grow
from tierlab.hwmodels.time.silicon.bytime import Features, rows_of
from tierlab.hwmodels.time.silicon.fitted import Bands, stratum

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
Learn = Callable[[Rows, Rows], Floats]

FOLDS = 6
NARROWER = (1.0 - 1.0 / FOLDS) ** 0.4
"""All groups teach more than the folds' did. Held-out groups of 71 kernels lie within a band of
80% in 85% of cases with 3 folds and in 82% with 8, uncorrected: powers of 0.3 and 0.45
(2026-11-21)."""
NARROWEST = 0.005
"""Half of a band, at least: the tables repeat no measurement, so their noise is not known."""
FEWEST = 30
"""Residuals of a stratum under which it takes those of all."""
_SIZES = Boosting(trees=40, rate=0.15, ridge=50.0, robust=3.0)
_SMALL = 0.004
"""Residual that counts as none: its logarithm would say more than it knows."""


def folds(groups: NDArray[np.int64], seed: int, count: int = FOLDS) -> NDArray[np.int64]:
    """Return the fold of each row, int64[n]; rows of one group share one."""
    order: NDArray[np.int64] = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    return order[groups] % count


def unseen(fold: NDArray[np.int64], learn: Learn) -> Floats:
    """Return what trees grown without a row's fold say of it, float64[n].

    `learn` takes the rows to grow on and those to ask about, both bool[n].
    """
    said = np.zeros(len(fold))
    for f in np.unique(fold):
        out = fold == f
        said[out] = learn(~out, out)
    return said


def spread_bands(
    features: Features,
    left: Floats,
    predicted: Floats,
    fold: NDArray[np.int64],
    seed: int,
    narrower: float = 1.0,
) -> Bands:
    """Return the bands of a fit, with the shape's share in them.

    Parameters
    ----------
    features
        Name -> float64[n].
    left
        float64[n], log(measured / predicted), by trees that did not see the row's fold if any.
    predicted
        float64[n], s, likewise.
    fold, seed
        Of each row; of the draws.
    narrower
        Scales the logarithms of the band: `NARROWER` where trees saw less than the last ones.
    """
    sizes = np.log(np.abs(left) + _SMALL)
    sizes -= np.median(sizes)
    how = _SIZES.for_points(len(left))

    def learn(seen: Rows, out: Rows) -> Floats:
        return grow(rows_of(features, seen), sizes[seen], how, seed)(rows_of(features, out))

    alike = left / np.exp(unseen(fold, learn))
    made = bands(alike, predicted, narrower)
    return Bands(made.p10, made.p90, grow(features, sizes, how, seed))


def bands(residuals: Floats, predicted: Floats, narrower: float = 1.0) -> Bands:
    """Return p10 and p90 of measured / predicted in each stratum of predicted time.

    `narrower` scales their logarithms.
    """
    pairs = []
    place = stratum(predicted)
    for s in range(3):
        own = residuals[place == s]
        own = own if len(own) >= FEWEST else residuals
        low, high = np.quantile(own, (0.1, 0.9)) * narrower
        pairs.append((min(low, -NARROWEST), max(high, NARROWEST)))
    low3, high3 = np.exp(np.array(pairs)).T.tolist()
    return Bands(tuple(low3), tuple(high3))
