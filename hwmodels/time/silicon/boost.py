"""Fit a `Forest` to logarithms of measured / predicted: gradient boosting, robust, repeatable.

Each tree takes a share of what is left, weighted by 1 / sqrt(1 + (r / ROBUST)^2) so that single
bad measurements pull little (pseudo-Huber). Each level asks the question that leaves the least,
over a random half of the features and on a random part of the rows (Friedman, 2002).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.trees import (
    DEPTH,
    LEAVES,
    Bytes,
    Floats,
    Forest,
    as_stored,
    binned,
)
from tierlab.kernels.base.binding import entered

Ints = NDArray[np.int64]
ROBUST = 0.06
"""Relative error beyond which a point pulls less."""
BINS = 96
POINTS_A_TREE = 2
_FULL_STEP = 15
"""Leaves are whole multiples of a fifteenth of the largest: later trees mend the rounding."""


@dataclass(frozen=True)
class Boosting:
    """How trees are grown; chosen by cross-validation within fitted groups.

    Attributes
    ----------
    trees
        How many.
    rate
        Share of what is left that one tree takes.
    ridge
        Points that a leaf must see before it moves half as far.
    rows, features
        Shares that one tree, and one level, look at.
    robust
        Residual beyond which a point pulls less.
    """

    trees: int = 360
    rate: float = 0.12
    ridge: float = 1.0
    rows: float = 0.8
    features: float = 0.5
    robust: float = ROBUST

    def for_points(self, points: int) -> Boosting:
        """Return fewer trees where there are few points."""
        return replace(self, trees=min(self.trees, max(points // POINTS_A_TREE, 1)))


def grow(features: Mapping[str, Floats], residuals: Floats, how: Boosting, seed: int = 0) -> Forest:
    """Fit a sum of trees.

    Parameters
    ----------
    features
        Name -> float64[n].
    residuals
        float64[n], natural logarithms.
    how, seed
        Of the boosting, and of its draws.
    """
    names, values = tuple(features), np.stack(list(features.values()))
    edges = tuple(_edges(v) for v in values)
    bins = binned(values, edges)
    rng = np.random.default_rng(seed)
    left, n = residuals.copy(), len(residuals)
    feature, above = np.zeros((2, how.trees, DEPTH), np.uint8)
    steps, scale = np.zeros((how.trees, LEAVES), np.int8), np.zeros(how.trees)
    looked = max(1, round(how.features * len(names)))
    for t in range(how.trees):
        drawn = np.flatnonzero(rng.random(n) < how.rows)
        seen, pull = bins[:, drawn], left[drawn]
        weight = 1.0 / np.sqrt(1.0 + np.square(pull / how.robust))
        place = np.zeros(n, np.uint8)
        for d in range(DEPTH):
            chosen = np.sort(rng.permutation(len(names))[:looked])
            sums = np.zeros((1 << d, looked, BINS, 2))
            entered(_histogram)(seen, chosen, place[drawn], weight * pull, weight, sums)
            gain = np.zeros((looked, BINS))
            entered(_gain)(sums, how.ridge, gain)
            best = int(np.argmax(gain))
            feature[t, d], above[t, d] = chosen[best // BINS], best % BINS
            place |= (bins[feature[t, d]] > above[t, d]).astype(np.uint8) << np.uint8(d)
        scale[t], steps[t] = _leaves(place[drawn], pull, weight, how)
        left -= scale[t] * steps[t][place]
    return Forest(names, edges, feature, above, scale, steps)


def _edges(values: Floats) -> Floats:
    """Return the middles between values where they are few, else quantiles."""
    known = np.unique(values.round(6))
    if len(known) > BINS:
        known = np.unique(np.quantile(values, np.linspace(0.0, 1.0, BINS), method="nearest"))
    return np.unique(as_stored((known[1:] + known[:-1]) / 2.0))


def _leaves(
    place: Bytes, left: Floats, weight: Floats, how: Boosting
) -> tuple[float, NDArray[np.int8]]:
    sums = np.bincount(place, weight * left, LEAVES)
    values = how.rate * sums / (np.bincount(place, weight, LEAVES) + how.ridge)
    scale = float(np.float16(max(np.abs(values).max(), 1e-5) / _FULL_STEP))
    return scale, np.clip(np.round(values / scale), -_FULL_STEP, _FULL_STEP).astype(np.int8)


def _histogram(
    bins: Bytes, chosen: Ints, place: Bytes, pull: Floats, weight: Floats, sums: Floats
) -> None:
    for c in range(len(chosen)):
        row = bins[chosen[c]]
        for i in range(len(place)):
            p, b = place[i], row[i]
            sums[p, c, b, 0] += pull[i]
            sums[p, c, b, 1] += weight[i]


def _gain(sums: Floats, ridge: float, gain: Floats) -> None:
    """Add up, for each question, the squares that it takes off what is left."""
    for leaf in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            cells = sums[leaf, c]
            all_left, all_weight = 0.0, 0.0
            for b in range(cells.shape[0]):
                all_left += cells[b, 0]
                all_weight += cells[b, 1]
            if all_weight > 0.0:
                left, weight = 0.0, 0.0
                for b in range(cells.shape[0]):
                    left += cells[b, 0]
                    weight += cells[b, 1]
                    other, rest = all_left - left, max(all_weight - weight, 0.0)
                    gain[c, b] += left * left / (weight + ridge) + other * other / (rest + ridge)
