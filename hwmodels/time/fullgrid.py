"""Interpolation over a full grid of measured points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Seconds over a full grid, multilinear between its points and clamped at its edges."""

    axes: tuple[Floats, ...]
    seconds: Floats

    def at(self, *point: Floats | float) -> Floats:
        """Return the seconds at each point; coordinates broadcast."""
        where = np.broadcast_arrays(*(np.atleast_1d(np.asarray(p, np.float64)) for p in point))
        cells = [_cell(axis, x) for axis, x in zip(self.axes, where, strict=True)]
        total = np.zeros(where[0].shape)
        for corner in range(2 ** len(cells)):
            weight = np.ones(where[0].shape)
            index = []
            for bit, (low, share) in enumerate(cells):
                upper = corner >> bit & 1
                weight = weight * (share if upper else 1.0 - share)
                index.append(low + upper)
            total += weight * self.seconds[tuple(index)]
        return total


def _cell(axis: Floats, x: Floats) -> tuple[NDArray[np.int64], Floats]:
    inside = np.clip(x, axis[0], axis[-1])
    low = np.clip(np.searchsorted(axis, inside, side="right") - 1, 0, max(len(axis) - 2, 0))
    step = axis[low + 1] - axis[low]
    return low.astype(np.int64), (inside - axis[low]) / step
