"""Rotary position embedding (Su et al., arXiv 2104.09864), halves rotated as GPT-NeoX does.

Channel i of the first half and channel i of the second half turn by position x base^(-2 i / dim).
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute.cuda.launch import cover, element, launch
from tierlab.kernels.compute.jit import shared


def angles(positions: Any, dim: int, base: float) -> NDArray[np.float64]:
    """Return float64[tokens, dim / 2] in radians.

    Raises
    ------
    BadInput
        `dim` is odd.
    """
    if dim % 2:
        raise BadInput("x", f"head size {dim}", "an even size")
    speeds = base ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    return np.asarray(positions, np.float64)[:, None] * speeds


def reference(x: Any, positions: Any, base: float = 10000.0) -> Any:
    """Rotate in float64."""
    turn = angles(positions, x.shape[-1], base)[:, None]
    a, b = np.split(x.astype(np.float64), 2, axis=-1)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def numba_version(x: Any, positions: Any, base: float = 10000.0) -> NDArray[np.float32]:
    """Rotate float32[tokens, heads, dim] to int[tokens] positions.

    Angles are float64 until their sines are taken: float32 is off by 0.06 rad at position 1M.

    Raises
    ------
    BadInput
        `dim` is odd.
    """
    turn = angles(positions, x.shape[-1], base)
    out = np.empty(x.shape, np.float32)
    cos, sin = np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)
    _rotate(len(x), np.ascontiguousarray(x, np.float32), cos, sin, out)
    return out


def cupy_version(x: Any, positions: Any, base: float = 10000.0) -> Any:
    """Rotate on the GPU."""
    import cupy

    tokens, heads, dim = x.shape
    angles(np.zeros(0), dim, base)
    out = cupy.empty_like(x)
    count = tokens * dim // 2
    operands = (x, positions.astype(cupy.int32), cupy.float64(base), heads, dim, cupy.int64(count))
    grid = (cover(count, 256),)
    launch("elementwise.rotary", grid, 256, (*operands, out), ELEMENT=element("x", x))
    return out


@shared
def _rotate(start, stop, x, cos, sin, out):
    heads, half = x.shape[1], x.shape[2] // 2
    for token in range(start, stop):
        for head in range(heads):
            for i in range(half):
                a, b = x[token, head, i], x[token, head, half + i]
                out[token, head, i] = a * cos[token, i] - b * sin[token, i]
                out[token, head, half + i] = b * cos[token, i] + a * sin[token, i]
