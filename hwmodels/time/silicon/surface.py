"""What a formula leaves over, as a smooth function of shape: sums of piecewise-linear surfaces.

Each term is a surface over two or three coordinates, linear between knots one apart (an octave,
for log2 coordinates), and constant outside them. Together they are a generalised additive model
(Hastie and Tibshirani, 1990), fitted by ridge regression to the logarithms of measured /
predicted, with weights that make it robust (pseudo-Huber).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Coordinates = Mapping[str, Floats]

RIDGE = 0.1
"""Penalty on a knot's square, in points: a knot must see a few before it moves."""
SMOOTH = 0.5
"""Penalty on the square of second differences along each axis, in points."""
ROBUST = 0.03
"""Relative error beyond which a point pulls less."""
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Term:
    """One surface.

    Attributes
    ----------
    axes
        Its coordinates.
    first
        The lowest knot of each; knots follow one apart.
    values
        float64, one dimension an axis, log of the factor at each knot.
    """

    axes: tuple[str, ...]
    first: tuple[int, ...]
    values: Floats

    def corners(self, at: Coordinates) -> Iterator[tuple[Ints, Floats]]:
        """Yield, for each corner of the cells, its flat index and its weight, both [n]."""
        base, share = self._place(at)
        for step, upper in zip(self._steps(), _corners(len(share)), strict=True):
            weight = np.ones(len(base))
            for up, part in zip(upper, share, strict=True):
                weight = weight * (part if up else 1.0 - part)
            yield base + step, weight

    def __call__(self, at: Coordinates) -> Floats:
        """Return the log of the factor, float64[n]."""
        base, share = self._place(at)
        flat = self.values.ravel()
        found: list[Floats] = [flat[base + step] for step in self._steps()]
        for part in reversed(share):
            found = [a + part * (b - a) for a, b in zip(found[::2], found[1::2], strict=True)]
        return found[0]

    def _place(self, at: Coordinates) -> tuple[Ints, list[Floats]]:
        """Return the flat index of the lower corner, and the place along each axis."""
        low, share = self._cells(at)
        base = low[0]
        for cell, knots in zip(low[1:], self.values.shape[1:], strict=True):
            base = base * knots + cell
        return base, share

    def _steps(self) -> list[int]:
        shape = self.values.shape
        return [int(np.ravel_multi_index(corner, shape)) for corner in _corners(len(shape))]

    def _cells(self, at: Coordinates) -> tuple[list[Ints], list[Floats]]:
        cells = [
            _cell(at[axis], first, knots)
            for axis, first, knots in zip(self.axes, self.first, self.values.shape, strict=True)
        ]
        return [c[0] for c in cells], [c[1] for c in cells]


def _corners(axes: int) -> list[tuple[int, ...]]:
    return list(product((0, 1), repeat=axes))


Surface = tuple[Term, ...]


def evaluate(surface: Surface, at: Coordinates) -> Floats:
    """Return the log of the factor of all terms together, float64[n]."""
    total = np.zeros(len(next(iter(at.values()))))
    for term in surface:
        total += term(at)
    return total


def _cell(value: Floats, first: int, knots: int) -> tuple[Ints, Floats]:
    place = np.clip(value - first, 0.0, knots - 1.0)
    low = np.minimum(place.astype(np.int64), knots - 2)
    return low, place - low


def blank(axes: Sequence[tuple[str, ...]], at: Coordinates) -> Surface:
    """Return terms that reach over the coordinates given, all zero."""
    made = []
    for names in axes:
        low = tuple(int(np.floor(at[c].min())) for c in names)
        high = [int(np.ceil(at[c].max())) for c in names]
        size = [max(h - f + 1, 2) for h, f in zip(high, low, strict=True)]
        made.append(Term(tuple(names), low, np.zeros(size)))
    return tuple(made)


def fit_surface(
    axes: Sequence[tuple[str, ...]],
    at: Coordinates,
    residuals: Floats,
    fold: Ints,
    ridge: float = RIDGE,
    smooth: float = SMOOTH,
) -> tuple[Surface, Floats]:
    """Fit terms to logs of measured / predicted.

    Parameters
    ----------
    axes
        Coordinates of each term.
    at
        Name -> float64[n].
    residuals
        float64[n], natural logarithms.
    fold
        int64[n], from 0: rows of one fold are held out together.
    ridge, smooth
        Penalties on the knots' squares, and on those of their second differences.

    Returns
    -------
    The surface, and what it leaves of each row when the row's fold is held out, float64[n].
    The robust weights are those of the fit to all rows.
    """
    terms = blank(axes, at)
    design, penalty = _design(terms, at), _penalty(terms, ridge, smooth)
    values, weights = np.zeros(design.shape[1]), np.ones(len(residuals))
    for _ in range(_ROUNDS):
        values = _solve(design, residuals, weights, penalty)
        weights = 1.0 / np.sqrt(1.0 + np.square((residuals - design @ values) / ROBUST))
    held_out = residuals.copy()
    for f in np.unique(fold):
        out = fold == f
        other = _solve(design, residuals, np.where(out, 0.0, weights), penalty)
        held_out[out] -= (design @ other)[out]
    return _with(terms, values), held_out


def _with(terms: Surface, values: Floats) -> Surface:
    parts = np.split(values, np.cumsum([t.values.size for t in terms])[:-1])
    return tuple(
        Term(t.axes, t.first, part.reshape(t.values.shape))
        for t, part in zip(terms, parts, strict=True)
    )


def _solve(design: csr_array, y: Floats, w: Floats, penalty: Floats) -> Floats:
    from scipy.linalg import solve
    from scipy.sparse import diags_array

    weighted = diags_array(w) @ design
    normal = (design.T @ weighted).toarray() + penalty
    values: Floats = solve(normal, weighted.T @ y, assume_a="pos")
    return values


def _penalty(terms: Surface, ridge: float, smooth: float) -> Floats:
    from scipy.linalg import block_diag

    blocks = []
    for term in terms:
        shape = term.values.shape
        block = ridge * np.eye(term.values.size)
        for axis, knots in enumerate(shape):
            bend = np.diff(np.eye(knots), 2, axis=0)
            before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
            block += smooth * np.kron(np.kron(np.eye(before), bend.T @ bend), np.eye(after))
        blocks.append(block)
    found: Floats = block_diag(*blocks)
    return found


def _design(terms: Surface, at: Coordinates) -> csr_array:
    from scipy.sparse import csr_array

    n, start = len(next(iter(at.values()))), 0
    rows, columns, weights = [], [], []
    for term in terms:
        for place, weight in term.corners(at):
            rows.append(np.arange(n))
            columns.append(start + place)
            weights.append(np.broadcast_to(weight, n))
        start += term.values.size
    entries = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(weights), entries), shape=(n, start))
