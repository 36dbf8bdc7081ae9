"""Ragged decode batches of a profile: ``skew.csv`` as measured operations.

Each row is a batch of `n` decodes, `nb` of them of `kv_big` earlier keys and the others of `kvs`,
in three ways: as it is (`t_skew_us`), all of the mean length (`t_mean_us`), all of the longest
(`t_max_us`). Rows beside a chunk (`pc` > 0) are left out. LLMServingSim's profiler
(casys-kaist/LLMServingSim, ``profiler/core/skew.py``) sums a row over its timed runs, where
``attention.csv`` has their mean; batches that both files hold tell how many runs there were.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.profilecsv import number, read_rows
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]
SKEW = "skew.csv"
COLUMNS = ("pc", "n", "nb", "kvs", "kv_big", "kv_mean", "t_mean_us", "t_max_us", "t_skew_us")
OWN = 1.0
"""Keys that a decode adds to the earlier ones: its token's own."""
_APART = 0.1
"""By how much the runs may differ from a whole number."""


def read_ragged(path: Path, decode: OpTable, seconds: Floats) -> tuple[OpTable, Floats]:
    """Return the even and the ragged decode batches of the file, and their times of one run, s.

    Parameters
    ----------
    path
        Of ``skew.csv``.
    decode, seconds
        Even batches of the same profile, of one attention layer.

    Raises
    ------
    BadInput
        A column is missing, a value is none or contradicts another, no row has decodes alone, or
        the runs cannot be told.
    """
    rows = list(enumerate(read_rows(path, COLUMNS, str(path)), 2))
    cells = [[number(row, name, f"{path}:{i}") for name in COLUMNS] for i, row in rows]
    kept = [(i, row) for (i, _), row in zip(rows, cells, strict=True) if row[0] == 0]
    if not kept:
        raise BadInput(str(path), "no row of decodes alone", "rows with pc = 0")
    _, n, long, short, big, mean, even_us, most_us, ragged_us = np.array([row for _, row in kept]).T
    exact = (long * big + (n - long) * short) / np.maximum(n, 1.0)
    bad = np.flatnonzero((long < 1) | (long > n) | (big < short) | (np.abs(mean - exact) > 1.0))
    if len(bad):
        first = bad[0]
        what = f"{n[first]:g} decodes, {long[first]:g} of {big[first]:g} keys, mean {mean[first]:g}"
        raise BadInput(
            f"{path}:{kept[first][0]}", what, "nb from 1 to n, kv_big >= kvs, their mean"
        )
    runs = _runs(path, n, big, most_us, decode, seconds)
    keys = exact + OWN
    batches = OpTable.build(
        "decode_attention", "bf16", "bf16", batch=np.tile(n, 2), q_len=1,
        kv_len=np.concatenate([mean + OWN, keys]),
        kv_len_spread=np.concatenate([np.zeros(len(n)), (big + OWN) / keys - 1.0]),
        **{name: decode[name][0] for name in ("heads", "kv_heads", "head_dim")},
    )  # fmt: skip
    return batches, np.concatenate([even_us, ragged_us]) * 1e-6 / runs


def _runs(
    path: Path, n: Floats, big: Floats, most_us: Floats, decode: OpTable, seconds: Floats
) -> float:
    """Return how many runs a time of the file sums up."""
    pairs = zip(decode["batch"], decode["kv_len"], seconds, strict=True)
    known = {(batch, keys): s for batch, keys, s in pairs}
    shared = zip(n, big + OWN, most_us, strict=True)
    ratios = [us * 1e-6 / known[b, k] for b, k, us in shared if (b, k) in known]
    if not ratios:
        what = "no batch of n decodes of kv_big keys is in attention.csv"
        raise BadInput(str(path), what, "one or more that is in both")
    ratio = float(np.median(ratios))
    runs = max(round(ratio), 1)
    if abs(ratio / runs - 1.0) > _APART:
        what = f"t_max_us is {ratio:.3g} x the same batches' time_us in attention.csv"
        raise BadInput(str(path), what, "a whole number of runs")
    return float(runs)
