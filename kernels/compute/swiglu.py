"""SwiGLU's activation (Shazeer, arXiv 2002.05202): gate / (1 + e^-gate) x up."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.compute.cuda.launch import cover, element, launch
from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.jit import shared
from tierlab.kernels.compute.simd import add, divide, exp, load, mul, splat, store

PIECE = 4096
"""Elements of a task, a multiple of a vector."""


def reference(gate: Any, up: Any) -> Any:
    """Activate in float64."""
    wide = gate.astype(np.float64)
    with np.errstate(over="ignore"):
        return wide / (1.0 + np.exp(-wide)) * up


def numba_version(gate: Any, up: Any) -> NDArray[np.float32]:
    """Activate float32 arrays of one shape."""
    out = np.empty(gate.shape, np.float32)
    flat = (np.ascontiguousarray(side, np.float32).reshape(-1) for side in (gate, up))
    _activate(-(-out.size // PIECE), *flat, out.reshape(-1))
    return out


def cupy_version(gate: Any, up: Any) -> Any:
    """Activate on the GPU."""
    import cupy

    out = cupy.empty_like(gate)
    grid = (cover(gate.nbytes, 16 * 256),)
    operands = (gate, up, cupy.int64(gate.size), out)
    launch("elementwise.swiglu", grid, 256, operands, ELEMENT=element("gate", gate))
    return out


@shared
def _activate(start, stop, gate, up, out):
    one, minus = splat(np.float32(1.0)), splat(np.float32(-1.0))
    n = len(gate)
    for piece in range(start, stop):
        first, end = piece * PIECE, min(n, (piece + 1) * PIECE)
        whole = end - (end - first) % LANES
        for i in range(first, whole, LANES):
            x = load(gate, i)
            share = divide(x, add(one, exp(mul(minus, x))))
            store(out, i, mul(share, load(up, i)))
        for i in range(whole, end):
            out[i] = gate[i] / (np.float32(1.0) + np.exp(-gate[i])) * up[i]
