"""The points that no other point beats in every objective."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pareto(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows are not dominated.

    A row dominates another where it is nowhere higher and somewhere lower; equal rows are kept
    together. The front grows while rows are visited in lexicographic order, in which no row is
    dominated by a later one (Kung, Luccio and Preparata 1975).

    Parameters
    ----------
    costs
        float64[points, objectives], all to be minimised; a row with NaN is never kept.
    """
    kept = np.zeros(len(costs), np.bool_)
    known = np.logical_not(np.isnan(costs).any(axis=1))
    order = np.lexsort(costs[:, ::-1].T)
    front = np.empty((0, costs.shape[1]))
    for row in [int(i) for i in order if known[i]]:
        each = costs[row]
        lower, beats = (front <= each).all(axis=1), (front < each).any(axis=1)
        if not (lower & beats).any():
            kept[row] = True
            front = np.vstack([front, each])
    return kept
