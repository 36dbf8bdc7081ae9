"""How much longer a profile's attention takes where the lengths of a batch differ.

From ``skew.csv`` of a profile folder (casys-kaist/LLMServingSim, MIT): batches of `n` decodes, most
of them short and some long, beside batches of the same mean length. What counts is how far the
longest exceeds the mean: among batches of one size it explains the slowdown (correlation 0.93-0.96
for 32 to 128 decodes on an RTX 4090), the spread of the lengths hardly at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.fullgrid import Grid
from tierlab.hwmodels.time.profilecsv import number, read_rows

Floats = NDArray[np.float64]
COLUMNS = ("pc", "n", "kv_mean", "kv_big", "t_mean_us", "t_skew_us")
KEYS = np.array([128.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0])
BEYOND = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
"""Nodes of the mean length, and of the longest over the mean, less one."""


def load_ragged(path: Path, where: str) -> Grid:
    """Return the ratio over (chunk, decodes, mean keys, longest over mean less one).

    In each cell it is the sum of the ragged batches' times over that of the even ones, so that
    short kernels, which are mostly launch, count for little. A cell without a measurement takes
    the nearest one's of a smaller excess, or of another length; an even batch is 1.

    Raises
    ------
    BadInput
        A column is missing, or a number is none.
    """
    rows = read_rows(path, COLUMNS, where)
    table = np.array(
        [[number(r, c, f"{path}:{i}") for c in COLUMNS] for i, r in enumerate(rows, 2)]
    )
    chunk, decodes, mean, longest, even_us, ragged_us = table.T
    axes = np.unique(chunk), np.unique(decodes), KEYS, BEYOND
    at = (
        np.searchsorted(axes[0], chunk),
        np.searchsorted(axes[1], decodes),
        _nearest(np.log(KEYS), np.log(np.maximum(mean, 1.0))),
        _nearest(np.log1p(BEYOND), np.log1p(np.maximum(longest / mean - 1.0, 0.0))),
    )
    sums = np.zeros((2, *(len(axis) for axis in axes)))
    np.add.at(sums[0], at, ragged_us)
    np.add.at(sums[1], at, even_us)
    with np.errstate(invalid="ignore"):
        ratio = sums[0] / sums[1]
    ratio[..., 0] = 1.0
    values, wide = _filled(ratio), list(axes)
    for i in (0, 1):
        if len(wide[i]) == 1:  # one node stands for all
            wide[i], values = np.append(wide[i], wide[i] + 1.0), np.repeat(values, 2, axis=i)
    return Grid(tuple(wide), values)


def _nearest(nodes: Floats, x: Floats) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.abs(nodes[:, None] - x).argmin(axis=0)
    return found


def _filled(ratio: Floats) -> Floats:
    """Fill cells without a measurement: along the lengths first, then from a smaller excess."""
    for cell in ratio.reshape(-1, len(KEYS), len(BEYOND)):
        for beyond in range(1, len(BEYOND)):
            known = np.flatnonzero(~np.isnan(cell[:, beyond]))
            if len(known):
                nodes = np.arange(len(KEYS))
                cell[:, beyond] = cell[known[np.abs(known[:, None] - nodes).argmin(axis=0)], beyond]
            else:
                cell[:, beyond] = cell[:, beyond - 1]
    return ratio
