"""Grouped matrix products: each of m tokens visits `top_k` of `experts` matrices [k, n].

The `top_k` copies of a token are rows of their own: read once and written once each.
MLA's absorbed projections are the case ``top_k`` = ``experts`` = heads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.dealing import experts_read
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

Floats = NDArray[np.float64]


def flops(ops: OpTable) -> Floats:
    """Return 2 m top_k n k."""
    return 2.0 * ops["m"] * ops["top_k"] * ops["n"] * ops["k"]


def traffic_bytes(ops: OpTable) -> Floats:
    """Return routed rows in and out, and the matrices of the experts that are touched."""
    rows, n, k = ops["m"] * ops["top_k"], ops["n"], ops["k"]
    touched = np.where(rows > 0, experts_touched(ops), 0.0)
    rows_bytes: Floats = rows * (k * DTYPE_BYTES[ops.dtype] + n * output_bytes(ops))
    return rows_bytes + touched * n * k * weight_bytes(ops)


def experts_touched(ops: OpTable) -> Floats:
    """Return the distinct experts that are read, in the mean over the routing's draws."""
    return experts_read(ops["m"], ops["experts"], ops["top_k"], ops["routing"])
