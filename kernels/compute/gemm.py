"""Matrix product. CuPy's is cuBLAS; Numba's is tiled by hand."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute.jit import shared
from tierlab.kernels.compute.tile import WIDE, by64, clear

ROWS = 128
DEPTH = 256
"""A panel of `DEPTH` x 64 floats stays in a second-level cache while `ROWS` rows pass over it."""


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
    m, n = a.shape[0], b.shape[1]
    out = np.empty((m, n), np.float32)
    panels = -(-n // WIDE)
    packed = np.empty((panels, DEPTH * WIDE), np.float32)
    sums = np.empty((panels, ROWS * WIDE), np.float32)
    rows = -(-ROWS // 4) * 4
    left = np.empty((panels, rows * DEPTH), np.float32)
    _multiply(panels, np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32), out,
              packed, left, sums)  # fmt: skip
    return out


def cupy_version(a: Any, b: Any) -> Any:
    """Multiply by cuBLAS."""
    return a @ b


@shared
def _multiply(start, stop, a, b, out, packed, left, sums):
    m, n, depth = a.shape[0], b.shape[1], a.shape[1]
    for panel in range(start, stop):
        width = min(WIDE, n - panel * WIDE)
        for row in range(0, m, ROWS):
            height = min(ROWS, m - row)
            tall = (height + 3) // 4 * 4
            clear(sums[panel], 0, ROWS * WIDE)
            for k in range(0, depth, DEPTH):
                deep = min(DEPTH, depth - k)
                _pack(b, packed[panel], panel * WIDE, width, k, deep)
                _rows(a, left[panel], row, height, tall, k, deep)
                for r in range(0, tall, 4):
                    by64(
                        left[panel], r * DEPTH, DEPTH, packed[panel], 0, WIDE, deep, sums[panel],
                        r * WIDE, WIDE,
                    )  # fmt: skip
            for r in range(height):
                for c in range(width):
                    out[row + r, panel * WIDE + c] = sums[panel, r * WIDE + c]


def _pack(b, packed, first, width, k, deep):
    for i in range(deep):
        for c in range(width):
            packed[i * WIDE + c] = b[k + i, first + c]
        for c in range(width, WIDE):
            packed[i * WIDE + c] = 0.0


def _rows(a, left, row, height, tall, k, deep):
    for r in range(tall):
        for i in range(deep):
            left[r * DEPTH + i] = a[row + r, k + i] if r < height else np.float32(0.0)
