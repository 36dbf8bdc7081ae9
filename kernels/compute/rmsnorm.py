"""RMSNorm (Zhang and Sennrich, arXiv 1910.07467): x / sqrt(mean(x^2) + eps) x weight."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.compute.cuda.launch import element, launch
from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.jit import shared
from tierlab.kernels.compute.simd import fma, load, mul, splat, store, total


def reference(x: Any, weight: Any, eps: float = 1e-5) -> Any:
    """Normalise in float64."""
    wide = x.astype(np.float64)
    return wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True) + eps) * weight


def numba_version(x: Any, weight: Any, eps: float = 1e-5) -> NDArray[np.float32]:
    """Normalise the last axis of float32[..., n] and multiply by float32[n]."""
    rows = np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1])
    out = np.empty_like(rows)
    _normalise(len(rows), rows.reshape(-1), weight, np.float32(eps), out.reshape(-1))
    return out.reshape(x.shape)


def cupy_version(x: Any, weight: Any, eps: float = 1e-5) -> Any:
    """Normalise on the GPU."""
    import cupy

    out = cupy.empty_like(x)
    n = x.shape[-1]
    operands = (x, weight, cupy.float32(eps), n, out)
    launch("elementwise.rmsnorm", (x.size // n,), 256, operands, 32, ELEMENT=element("x", x))
    return out


@shared
def _normalise(start, stop, x, weight, eps, out):
    n = len(weight)
    whole = n - n % LANES
    for row in range(start, stop):
        at = row * n
        squares = splat(np.float32(0.0))
        for i in range(0, whole, LANES):
            part = load(x, at + i)
            squares = fma(part, part, squares)
        summed = total(squares)
        for i in range(whole, n):
            summed += x[at + i] * x[at + i]
        factor = np.float32(1.0) / np.sqrt(summed / np.float32(n) + eps)
        for i in range(0, whole, LANES):
            store(out, at + i, mul(splat(factor), mul(load(x, at + i), load(weight, i))))
        for i in range(whole, n):
            out[at + i] = factor * x[at + i] * weight[i]
