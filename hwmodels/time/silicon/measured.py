"""Measured times of one kernel, as the fit takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.moe_layer import layer
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]

GROUP_COLUMNS = {
    "gemm": ("n", "k"),
    "prefill_attention": ("heads", "kv_heads", "head_dim"),
    "prefill_attention_backward": ("heads", "kv_heads", "head_dim"),
    "decode_attention": ("heads", "kv_heads", "head_dim"),
    "elementwise": ("n",),
    "mla_decode": ("heads",),
    "mla_prefill": ("heads",),
    "grouped_gemm": ("n", "k", "experts", "top_k"),
    "batched_gemm": ("experts",),
    "mamba_prefill": ("heads", "kv_heads"),
    "mamba_decode": ("heads", "kv_heads"),
    "sample": ("m",),
    "top_k": ("n",),
    "all_reduce": ("bytes",),
    "all_gather": ("bytes",),
    "reduce_scatter": ("bytes",),
    "all_to_all": ("bytes",),
}
"""What is held out together: shapes that a model's architecture fixes, never single rows."""
SEVERAL = "several"
"""Version of constants that stand for several devices."""


@dataclass(frozen=True)
class KernelKey:
    """What a set of parameters belongs to, beside the device.

    Attributes
    ----------
    op, dtype, kv_dtype
        Names of `OPS` and `DTYPES`; of attention, `kv_dtype` is the cache's.
    framework, version, kernel
        As the source spells them, in lower case.
    windowed
        Whether it is attention with a window: engines run another kernel for it.
    """

    op: str
    dtype: str
    kv_dtype: str
    framework: str
    version: str
    kernel: str
    windowed: bool = False

    def label(self) -> str:
        """Return the name that reports print."""
        stored = self.kv_dtype if self.kv_dtype not in ("none", self.dtype) else ""
        parts = [self.op, self.dtype + (f"/{stored}" if stored else ""), self.kernel]
        return " ".join([*parts, *(["windowed"] if self.windowed else [])])


@dataclass(frozen=True, eq=False)
class Beside:
    """Another operation in the same time.

    Attributes
    ----------
    ops
        OpTable of n rows, in the order of the times that hold them.
    alone
        Measured times of that operation by itself: what they teach of `ops` is taken off (`apart`).
    """

    ops: OpTable
    alone: Measured


@dataclass(frozen=True, eq=False)
class Measured:
    """Times of one kernel.

    Attributes
    ----------
    key, source
        What was measured; where the times are from.
    ops
        OpTable of n rows, all of one operation and one pair of dtypes.
    seconds
        float64[n], s.
    beside
        What else ran in these times, if anything.
    """

    key: KernelKey
    source: str
    ops: OpTable
    seconds: Floats
    beside: Beside | None = None

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Measured:
        """Return some rows, by index or mask."""
        other = self.beside and Beside(self.beside.ops.take(rows), self.beside.alone)
        return Measured(self.key, self.source, self.ops.take(rows), self.seconds[rows], other)

    def groups(self) -> NDArray[np.int64]:
        """Return the number of the group that each row belongs to, int64[n]."""
        columns = np.stack([self.ops[c] for c in GROUP_COLUMNS[self.key.op]])
        if self.key.op == "grouped_gemm":
            columns[:2] = layer(self.ops)[:2]
        return np.unique(columns, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)
