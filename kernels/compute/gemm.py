"""Matrix product. CuPy's is cuBLAS; Numba's is tiled by hand."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute.jit import shared
from tierlab.kernels.compute.paged import TILE
from tierlab.kernels.compute.tile import WIDE, by64

DEPTH = 256
"""A panel of `DEPTH` x 64 floats stays in a second-level cache while all rows pass over it."""


def reference(a: Any, b: Any) -> Any:
    """Multiply in float64."""
    return a.astype(np.float64) @ b.astype(np.float64)


def numba_version(a: Any, b: Any) -> NDArray[np.float32]:
    """Multiply float32[m, k] by float32[k, n].

    Raises
    ------
    BadInput
        The inner sizes differ.
    """
    if a.shape[1] != b.shape[0]:
        raise BadInput("b", f"{b.shape[0]} rows", f"{a.shape[1]}, the columns of a")
    (m, depth), n = a.shape, b.shape[1]
    a, b = np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32)
    panels, whole = -(-n // WIDE), m - m % TILE
    out = np.zeros((-(-m // TILE) * TILE, panels * WIDE), np.float32)
    last = np.zeros((TILE, depth), np.float32)
    last[: m - whole] = a[whole:]
    packed = np.empty((panels, DEPTH * WIDE), np.float32)
    _multiply(panels, a.reshape(-1), last.reshape(-1), whole, m, b, out.reshape(-1), packed)
    return np.ascontiguousarray(out[:m, :n])


def cupy_version(a: Any, b: Any) -> Any:
    """Multiply by cuBLAS."""
    return a @ b


@shared
def _multiply(start, stop, a, last, whole, m, b, out, packed):
    depth, n = b.shape
    step = packed.shape[0] * WIDE
    for panel in range(start, stop):
        first = panel * WIDE
        own, width = packed[panel], min(WIDE, n - first)
        for k in range(0, depth, DEPTH):
            deep = min(DEPTH, depth - k)
            _pack(b, own, first, width, k, deep)
            for r in range(0, whole, TILE):
                to = r * step + first
                by64(a, r * depth + k, depth, own, 0, WIDE, deep, out, to, step)
            if whole < m:
                by64(last, k, depth, own, 0, WIDE, deep, out, whole * step + first, step)


def _pack(b, packed, first, width, k, deep):
    for i in range(deep):
        for c in range(width):
            packed[i * WIDE + c] = b[k + i, first + c]
        for c in range(width, WIDE):
            packed[i * WIDE + c] = 0.0
