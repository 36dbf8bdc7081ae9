"""Rebuild keys from a low-rank product, as ShadowKV does (arXiv 2410.21465).

Keys before rotation are stored as left [tokens, rank] and right [rank, kv_heads x dim]; those of
the chosen tokens are multiplied out and rotated to their positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute import gemm, rotary


def _check(left: Any, right: Any, dim: int, tokens: Any) -> None:
    if right.shape[1] % dim or left.shape[1] != right.shape[0]:
        what = f"shapes {left.shape} and {right.shape}"
        raise BadInput("right", what, f"[rank, kv_heads x {dim}] for [tokens, rank]")
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < len(left):
        raise BadInput("tokens", "a token is outside", f"0 to {len(left) - 1}")


def reference(left: Any, right: Any, dim: int, tokens: Any, base: float = 10000.0) -> Any:
    """Rebuild in float64; see `numba_version` for the operands."""
    _check(left, right, dim, tokens)
    keys = gemm.reference(left[tokens], right)
    return rotary.reference(keys.reshape(len(tokens), -1, dim), tokens, base)


def numba_version(
    left: Any, right: Any, dim: int, tokens: Any, base: float = 10000.0
) -> NDArray[np.float32]:
    """Rebuild the keys of some tokens.

    Parameters
    ----------
    left, right
        float32[context, rank] and float32[rank, kv_heads x dim].
    dim
        Head size.
    tokens
        int32[n], positions to rebuild.
    base
        Of the rotation.

    Returns
    -------
    float32[n, kv_heads, dim].

    Raises
    ------
    BadInput
        Shapes disagree or a token lies outside.
    """
    _check(left, right, dim, tokens)
    keys = gemm.numba_version(left[tokens], right)
    return rotary.numba_version(keys.reshape(len(tokens), -1, dim), tokens, base)


def cupy_version(left: Any, right: Any, dim: int, tokens: Any, base: float = 10000.0) -> Any:
    """Rebuild on the GPU: cuBLAS, then the rotation kernel."""
    _check(left, right, dim, tokens)
    keys = gemm.cupy_version(left[tokens], right)
    return rotary.cupy_version(keys.reshape(len(tokens), -1, dim), tokens, base)
