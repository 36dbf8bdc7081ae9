"""What a formula leaves over, as a sum of small symmetric trees over physical features.

Every node of one level of a symmetric tree asks the same question, so that a tree is a few
comparisons and one look-up (Prokhorenkova et al., 2018, CatBoost). Questions are asked of
features cut into at most 255 bins; a feature outside the range that was fitted falls into its
outermost bin, so that the sum stays what it was at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.binding import entered, plain

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]

DEPTH = 6
LEAVES = 1 << DEPTH
_BLOCK = 2048
"""Rows at a time: their bins stay in the processor's first cache."""


class _Flat(NamedTuple):
    """Trees over the features that they ask for.

    Attributes
    ----------
    names, edges, starts
        Those features; all their edges in a row, and where each feature's start and end in it.
    feature
        uint8[trees, DEPTH], places in `names`.
    """

    names: tuple[str, ...]
    edges: Floats
    starts: NDArray[np.int64]
    feature: Bytes


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
    def _flat(self) -> _Flat:
        asked, feature = np.unique(self.feature, return_inverse=True)
        edges, starts = _flat_edges([self.edges[f] for f in asked])
        places: Bytes = np.reshape(feature, self.feature.shape).astype(np.uint8)
        names = tuple(self.names[f] for f in asked)
        return _Flat(names, edges, starts, places)

    def __call__(self, features: Mapping[str, Floats], rows: Rows | None = None) -> Floats:
        """Return the log of the factor, float64[n], of features float64[n] by name.

        `rows`, int64[n], are those to answer, where not all.
        """
        columns = [features[name] for name in self._flat.names]
        count = len(columns[0]) if rows is None else len(rows)
        if plain(count):
            return self._plainly(columns if rows is None else [c[rows] for c in columns])
        total = np.empty(count)
        for start in range(0, count, _BLOCK):
            mine = slice(start, start + _BLOCK) if rows is None else rows[start : start + _BLOCK]
            into = total[start : start + _BLOCK]
            values = np.concatenate([column[mine] for column in columns])
            self._add(values.reshape(len(columns), len(into)), into)
        return total

    def _add(self, values: Floats, into: Floats) -> None:
        """Write the sums of a block of rows, whose `values` are one array without gaps.

        Where rows are gaps apart, vector units are not used.
        """
        flat, bins = self._flat, np.empty(values.shape, np.uint8)
        place, leaf = np.empty(len(into), np.uint8), np.empty(LEAVES)
        asked = flat.feature, self.above, self.scale, self.steps
        entered(_sum_up)(values, flat.edges, flat.starts, bins, *asked, leaf, place, into)

    def _plainly(self, columns: Sequence[Floats]) -> Floats:
        """Return the same to the last bit, without compiling: leaves add up tree by tree."""
        flat = self._flat
        cut = zip(np.split(flat.edges, flat.starts[1:-1]), columns, strict=True)
        bins = np.stack([np.searchsorted(edges, column) for edges, column in cut])
        over = bins[flat.feature] > self.above[..., None]
        place = (over << np.arange(DEPTH)[:, None]).sum(axis=1)
        total = np.zeros(len(columns[0]))
        leaves = self.scale[:, None] * self.steps
        for said in np.take_along_axis(leaves, place, axis=1):
            total += said
        return total


def _flat_edges(edges: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    """Return all edges in a row, and where each feature's start and end in it."""
    sizes = [len(e) for e in edges]
    return np.concatenate([*edges, np.zeros(0)]), np.concatenate([[0], np.cumsum(sizes)])


def as_stored(edges: Floats) -> Floats:
    """Round to 15 binary digits: the last byte of each float32 is zero and packs well."""
    bits = (edges.astype("<f4").view(np.uint32) + np.uint32(0x80)) & np.uint32(0xFFFFFF00)
    return bits.view("<f4").astype(np.float64)


def binned(features: Floats, edges: Sequence[Floats]) -> Bytes:
    """Return the bin of each value, uint8[features, n]."""
    flat, starts = _flat_edges(edges)
    bins = np.empty(features.shape, np.uint8)
    entered(_bin_rows)(features, flat, starts, bins)
    return bins


def _sum_up(
    values: Floats,
    edges: Floats,
    starts: NDArray[np.int64],
    bins: Bytes,
    feature: Bytes,
    above: Bytes,
    scale: Floats,
    steps: NDArray[np.int8],
    leaf: Floats,
    place: Bytes,
    total: Floats,
) -> None:
    _bin_rows(values, edges, starts, bins)
    _add_trees(bins, feature, above, scale, steps, leaf, place, total)


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
    bins: Bytes,
    feature: Bytes,
    above: Bytes,
    scale: Floats,
    steps: NDArray[np.int8],
    leaf: Floats,
    place: Bytes,
    total: Floats,
) -> None:
    """Add up leaves tree by tree; the six questions of one are asked of a row together.

    Leaves are read as bytes: as numbers they take longer to fetch than a few rows to answer.
    """
    total[:] = 0.0
    none = np.uint8(0)
    for t in range(feature.shape[0]):
        f, cut = feature[t], above[t]
        row0, row1, row2 = bins[f[0]], bins[f[1]], bins[f[2]]
        row3, row4, row5 = bins[f[3]], bins[f[4]], bins[f[5]]
        cut0, cut1, cut2, cut3, cut4, cut5 = cut[0], cut[1], cut[2], cut[3], cut[4], cut[5]
        for i in range(len(place)):
            asked = np.uint8(1) if row0[i] > cut0 else none
            asked |= np.uint8(2) if row1[i] > cut1 else none
            asked |= np.uint8(4) if row2[i] > cut2 else none
            asked |= np.uint8(8) if row3[i] > cut3 else none
            asked |= np.uint8(16) if row4[i] > cut4 else none
            asked |= np.uint8(32) if row5[i] > cut5 else none
            place[i] = asked
        for i in range(len(leaf)):
            leaf[i] = scale[t] * steps[t, i]
        for i in range(len(place)):
            total[i] += leaf[place[i]]
