"""Rows that repeat the one before: a kernel model is asked once for each run of them.

Tables of steps repeat themselves: a KV write does not depend on the keys that are there, and
batches are padded to captured sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import OPS, OpTable

_ATTENTION = (
    "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "v_head_dim", "window",
    "latent_rank",
)  # fmt: skip
_RECURRENT = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "state_size", "n")
_COLLECTIVE = ("devices", "bytes")
READS: dict[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k"),
    "grouped_gemm": ("m", "n", "k", "experts", "top_k", "routing"),
    "prefill_attention": _ATTENTION,
    "prefill_attention_backward": _ATTENTION,
    "decode_attention": (*_ATTENTION, "kv_len_spread"),
    "mamba_prefill": _RECURRENT,
    "mamba_decode": _RECURRENT,
    "elementwise": ("m", "bytes"),
    "sample": ("m", "n", "k", "batch"),
    "all_reduce": _COLLECTIVE,
    "all_gather": _COLLECTIVE,
    "reduce_scatter": _COLLECTIVE,
    "all_to_all": _COLLECTIVE,
}
"""Operation -> the columns that its kernel models read."""


def run_starts(ops: OpTable, but: str = "") -> NDArray[np.bool_]:
    """Say which rows of a table of one operation differ from the row before, bool[n].

    Parameters
    ----------
    ops
        A table, not empty.
    but
        A column to leave out.
    """
    starts = np.zeros(len(ops), np.bool_)
    starts[0] = True
    columns: list[NDArray[Any]] = [ops.dtype, ops.kv_dtype]
    columns += [ops[name] for name in READS[OPS[ops.op[0]]] if name != but]
    for column in columns:
        starts[1:] |= column[1:] != column[:-1]
        if starts.all():
            break
    return starts
