"""Operations that policies add beside the model's own, as rows of a work table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.models.rows import Rows
from tierlab.kernels.ops.table import Work
from tierlab.policies.protocol import AttentionCall

Array = NDArray[np.float64]
HALF = 2.0
"""Bytes of a 16-bit element."""


class Passes:
    """Collects the operations that one policy adds to a call's layers.

    Parameters
    ----------
    call
        The attention that they stand beside.
    mask
        bool[n], the steps that have them; absent, all.
    """

    def __init__(self, call: AttentionCall, mask: NDArray[np.bool_] | None = None) -> None:
        chosen = call.batch > 0 if mask is None else mask & (call.batch > 0)
        self.step = np.flatnonzero(chosen)
        self._rows = Rows(self.step)
        self._call = call

    def pick(self, values: NDArray[np.generic]) -> Array:
        """Return an array of all steps, [n], at those that have the operations, float64."""
        return np.broadcast_to(values, self._call.batch.shape)[self.step].astype(np.float64)

    def scores(self, queries: Array, keys: Array) -> None:
        """Add a product of queries and keys that writes its scores, one matrix a KV head.

        FLOPs ``2 batch heads queries keys head_dim``; bytes: queries and each key in once,
        ``heads queries keys`` scores out in 16 bits. All pairs count: a plain matrix product
        knows no causal mask.
        """
        call, batch = self._call, self.pick(self._call.batch)
        group = call.heads / call.kv_heads
        self._rows.add(
            "grouped_gemm", "bf16", "none", float(call.layers),
            m=queries * group, n=keys, k=call.head_dim,
            experts=batch * call.kv_heads, top_k=batch * call.kv_heads,
        )  # fmt: skip

    def score_sums(self, queries: Array, keys: Array, window: int) -> None:
        """Add a pass that sums scores over queries without writing them.

        FLOPs ``2 batch heads pairs head_dim`` over the pairs that mask and window leave; bytes:
        queries and keys in, one sum a head and visible key out in 32 bits.
        """
        call, batch = self._call, self.pick(self._call.batch)
        self._rows.add(
            "prefill_attention", "bf16", "bf16", float(call.layers),
            batch=batch, q_len=queries, kv_len=keys, window=window,
            heads=call.heads, kv_heads=call.kv_heads, head_dim=call.head_dim / 2,
        )  # fmt: skip
        self.move(4.0 * batch * call.heads * np.minimum(keys, window + queries - 1))

    def move(self, nbytes: Array) -> None:
        """Add a kernel a layer that moves so many bytes of memory, float64[steps]."""
        self._rows.add("elementwise", "bf16", "none", float(self._call.layers), bytes=nbytes)

    def work(self) -> Work:
        """Return the rows."""
        return self._rows.work()
