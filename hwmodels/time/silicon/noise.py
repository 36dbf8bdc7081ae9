"""The measurements' own noise: larger shapes that took less time.

A product of more rows, or attention over more keys, does strictly more of the same work. Where its
time is lower than its smaller neighbour's, one of the two is off, or the kernel chose better: no
model that grows with the work can follow. The share of such pairs needs no model at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.kernels.ops.table import COLUMNS

Floats = NDArray[np.float64]
AXIS = {
    "decode_attention": "kv_len", "mla_decode": "kv_len", "prefill_attention": "q_len",
    "prefill_attention_backward": "q_len",
    "mla_prefill": "q_len", "mamba_prefill": "q_len", "mamba_decode": "batch",
    "gemm": "m", "grouped_gemm": "m", "batched_gemm": "m", "elementwise": "m",
}  # fmt: skip
"""Kernel model -> the column along which neighbours are compared; of collectives, ``bytes``."""
_ALONG = {"q_len": "kv_len", "m": "bytes"}
"""Column that grows with an axis: only what it has beyond is part of a shape."""


def falls(measured: Measured) -> Floats:
    """Return how far the next larger shape's time lies below each row's, in logarithms, float64[n].

    Negative where it lies above; NaN for the largest of its kind. Shapes of one kind differ in
    `AXIS` alone.
    """
    axis = AXIS.get(measured.key.op, "bytes")
    place, values = COLUMNS.index(axis), measured.ops.values.copy()
    sizes = values[place].copy()
    along = COLUMNS.index(_ALONG[axis]) if axis in _ALONG else place
    values[along] = (
        values[along] - sizes if axis == "q_len" else values[along] / np.maximum(sizes, 1)
    )
    values[place] = 0.0
    kind = np.unique(values, axis=1, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((sizes, kind))
    here, after = order[:-1], order[1:]
    pairs = (kind[here] == kind[after]) & (sizes[after] > sizes[here])
    found = np.full(len(measured), np.nan)
    logs = np.log(measured.seconds)
    found[here[pairs]] = (logs[here] - logs[after])[pairs]
    return found


def shares(fall: Floats) -> tuple[float, float]:
    """Return the share of pairs whose time falls, and falls by over 2%; NaN without pairs."""
    known = fall[np.isfinite(fall)]
    if not len(known):
        return float("nan"), float("nan")
    return float((known > 0.0).mean()), float((known > np.log(1.02)).mean())
