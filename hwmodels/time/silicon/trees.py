"""What a formula leaves over, as a sum of small symmetric trees over physical features.

Every node of one level of a symmetric tree asks the same question, so that a tree is a few
comparisons and one look-up (Prokhorenkova et al., 2018, CatBoost). Questions are asked of
features cut into at most 255 bins; a feature outside the range that was fitted falls into its
outermost bin, so that the sum stays what it was at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.binding import Binder, Compiled, plain

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]

DEPTH = 6
LEAVES = 1 << DEPTH
_BLOCK = 2048
"""Rows at a time: their bins stay in the processor's first cache."""


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum of trees.

    Attributes
    ----------
    names
        The features, in order.
    edges
        Of each feature, where its bins part, rising; bin b holds edges[b-1] < x <= edges[b].
    feature, above
        uint8[trees, DEPTH]: bit d of a leaf's number is whether the bin of `feature` is over
        `above`.
    scale
        float64[trees], log of the factor that one step of `steps` stands for.
    steps
        int8[trees, LEAVES].
    """

    names: tuple[str, ...]
    edges: tuple[Floats, ...]
    feature: Bytes
    above: Bytes
    scale: Floats
    steps: NDArray[np.int8]

    @cached_property
    def _flat(self) -> tuple[Floats, NDArray[np.int64], Floats]:
        return (*_flat_edges(self.edges), self.scale[:, None] * self.steps)

    def __call__(self, features: Mapping[str, Floats], rows: Rows | None = None) -> Floats:
        """Return the log of the factor, float64[n], of features float64[n] by name.

        `rows`, int64[n], are those to answer, where not all.
        """
        columns = [features[name] for name in self.names]
        count = len(columns[0]) if rows is None else len(rows)
        if plain(count):
            return self._plainly(columns if rows is None else [c[rows] for c in columns])
        edges, starts, leaves = self._flat
        total = np.zeros(count)
        values, bins = np.empty((len(columns), _BLOCK)), np.empty((len(columns), _BLOCK), np.uint8)
        place = np.empty(_BLOCK, np.uint8)
        for start in range(0, len(total), _BLOCK):
            into = total[start : start + _BLOCK]
            mine = slice(start, start + _BLOCK) if rows is None else rows[start : start + _BLOCK]
            for row, column in zip(values, columns, strict=True):
                row[: len(into)] = column[mine]
            _compiled(_bin_rows)(values[:, : len(into)], edges, starts, bins)
            _compiled(_add_trees)(bins, self.feature, self.above, leaves, place[: len(into)], into)
        return total

    def _plainly(self, columns: Sequence[Floats]) -> Floats:
        """Return the same to the last bit, without compiling: leaves add up tree by tree."""
        cut = zip(self.edges, columns, strict=True)
        bins = np.stack([np.searchsorted(edges, column) for edges, column in cut])
        over = bins[self.feature] > self.above[..., None]
        place = (over << np.arange(DEPTH)[:, None]).sum(axis=1)
        total = np.zeros(len(columns[0]))
        for said in np.take_along_axis(self._flat[2], place, axis=1):
            total += said
        return total


def _flat_edges(edges: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    """Return all edges in a row, and where each feature's start and end in it."""
    sizes = [len(e) for e in edges]
    return np.concatenate([*edges, np.zeros(0)]), np.concatenate([[0], np.cumsum(sizes)])


def binned(features: Floats, edges: Sequence[Floats]) -> Bytes:
    """Return the bin of each value, uint8[features, n]."""
    flat, starts = _flat_edges(edges)
    bins = np.empty(features.shape, np.uint8)
    _compiled(_bin_rows)(features, flat, starts, bins)
    return bins


@lru_cache(maxsize=8)
def _compiled(function: Compiled) -> Compiled:
    return Binder().entry(function)


def _bin_rows(values: Floats, edges: Floats, starts: NDArray[np.int64], bins: Bytes) -> None:
    """Count the edges under each value: every one, which vector units do faster than a search."""
    bins[:] = 0
    for f in range(values.shape[0]):
        row, out = values[f], bins[f]
        for e in range(starts[f], starts[f + 1]):
            edge = edges[e]
            for i in range(len(row)):
                out[i] += np.uint8(1) if row[i] > edge else np.uint8(0)


def _add_trees(
    bins: Bytes, feature: Bytes, above: Bytes, leaves: Floats, place: Bytes, total: Floats
) -> None:
    for t in range(feature.shape[0]):
        place[:] = 0
        for d in range(feature.shape[1]):
            row, edge, bit = bins[feature[t, d]], above[t, d], np.uint8(1 << d)
            for i in range(len(place)):
                place[i] |= bit if row[i] > edge else np.uint8(0)
        leaf = leaves[t]
        for i in range(len(place)):
            total[i] += leaf[place[i]]
