"""Walsh-Hadamard transform along the last axis, as QuaRot and RotateKV rotate before quantising.

n log2 n additions; divided by sqrt(n), it is its own inverse.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute.cuda.launch import element, launch
from tierlab.kernels.compute.jit import shared

LARGEST_ON_GPU = 8192


def check(n: int) -> None:
    """Refuse lengths that are no power of two.

    Raises
    ------
    BadInput
        With the length.
    """
    if n < 1 or n & (n - 1):
        raise BadInput("x", f"{n} values along the last axis", "a power of two")


def reference(x: Any) -> Any:
    """Transform in float64, by the matrix itself."""
    n = x.shape[-1]
    check(n)
    matrix = np.ones((1, 1))
    while len(matrix) < n:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return x.astype(np.float64) @ matrix / np.sqrt(n)


def numba_version(x: Any) -> NDArray[np.float32]:
    """Transform float32[..., n].

    Raises
    ------
    BadInput
        n is no power of two.
    """
    check(x.shape[-1])
    out = np.array(x, np.float32, order="C")
    rows = out.reshape(-1, x.shape[-1])
    _transform(len(rows), rows)
    return out


def cupy_version(x: Any) -> Any:
    """Transform on the GPU, up to 8,192 values in shared memory."""
    import cupy

    n = x.shape[-1]
    check(n)
    if n > LARGEST_ON_GPU:
        raise BadInput("x", f"{n} values along the last axis", f"{LARGEST_ON_GPU} or fewer")
    out = cupy.empty_like(x)
    launch("elementwise.hadamard", (x.size // n,), 256, (x, n, out), 4 * n, ELEMENT=element("x", x))
    return out


@shared
def _transform(start, stop, x):
    n = x.shape[1]
    for row in range(start, stop):
        half = 1
        while half < n:
            for first in range(0, n, 2 * half):
                for i in range(first, first + half):
                    a, b = x[row, i], x[row, i + half]
                    x[row, i], x[row, i + half] = a + b, a - b
            half *= 2
        factor = np.float32(1.0 / np.sqrt(n))
        for i in range(n):
            x[row, i] *= factor
