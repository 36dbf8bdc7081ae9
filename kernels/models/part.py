"""Some layers of one shape on one rank, being written down as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.models.linears import Linear
from tierlab.kernels.models.rows import Cell, Rows
from tierlab.kernels.models.weights import computed_in, stored_as
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES

Tokens = NDArray[np.int64]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Adds operations that `times` layers of one shape run in every step.

    Attributes
    ----------
    rows
        Where they go.
    times
        Layers of this shape.
    tp
        Ranks of tensor parallelism; shapes are one rank's.
    weights
        The weight format, one of `weights.WEIGHTS`.
    kv_dtype
        How the KV cache is stored, one of `ops.table.DTYPES`.
    """

    rows: Rows
    times: float
    tp: int
    weights: str = "bf16"
    kv_dtype: str = "bf16"

    @property
    def activation_bytes(self) -> float:
        """Bytes of an activation that the next GEMM reads."""
        return 1.0 if self.weights == "fp8" else 2.0

    def add(self, op: str, stored: str = "none", **cells: Cell) -> None:
        """Add an operation in 16-bit arithmetic."""
        self.rows.add(op, "bf16", stored, self.times, **cells)

    def gemm(self, linear: Linear, m: Array) -> None:
        """Multiply m rows with a dense linear layer."""
        dtype, stored = computed_in(linear, self.weights), stored_as(linear, self.weights)
        self.rows.add("gemm", dtype, stored, self.times, m=m, n=linear.n, k=linear.k)

    def grouped(self, linear: Linear, m: Array, top_k: int, routing: float) -> None:
        """Multiply m rows with the `top_k` experts that each visits (`ops.routing`)."""
        dtype, stored = computed_in(linear, self.weights), stored_as(linear, self.weights)
        shape = {"n": linear.n, "k": linear.k, "experts": linear.experts, "top_k": top_k}
        self.rows.add("grouped_gemm", dtype, stored, self.times, m=m, routing=routing, **shape)

    def elementwise(
        self, m: Array, width: int, row_bytes: float, constant: float = 0.0, experts: int = 0
    ) -> None:
        """Add a kernel that moves `row_bytes` for each of m rows, and `constant` a call.

        `experts`, where it is a part of a layer of so many: measured times of such layers hold it.
        """
        moved = m * row_bytes + constant
        self.add("elementwise", m=m, n=width, bytes=moved, experts=experts)

    def kv_write(self, tokens: Array, elements: int) -> None:
        """Read new keys and values in 16 bits, write them as the cache stores them."""
        stored = float(DTYPE_BYTES[DTYPES.index(self.kv_dtype)])
        traffic = tokens * (elements * (2.0 + stored))
        self.add("elementwise", self.kv_dtype, m=tokens, n=elements, bytes=traffic)

    def all_reduce(self, m: Array, width: int) -> None:
        """Sum m rows over the ranks, where there are several."""
        if self.tp > 1:
            self.add("all_reduce", devices=self.tp, bytes=m * (2.0 * width))
