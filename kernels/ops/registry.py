"""Every operation, with its FLOPs and its ideal traffic to memory.

Ideal means that each input is read once and each output written once; what a device really moves
(tiles that are read again, intermediate states) is its time model's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops import attention, collective, elementwise, gemm, mamba, moe, sampling
from tierlab.kernels.ops.table import OPS, OpTable

Formula = Callable[[OpTable], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of operation.

    Attributes
    ----------
    name, summary
        The name in `OPS`, and what it does.
    flops, bytes
        OpTable of n rows of this kind -> float64[n].
    """

    name: str
    summary: str
    flops: Formula
    bytes: Formula


_ALL = (
    Operation("gemm", "dense matrix product", gemm.flops, gemm.traffic_bytes),
    Operation("grouped_gemm", "matrix products of routed experts", moe.flops, moe.traffic_bytes),
    Operation(
        "prefill_attention", "causal attention of a chunk", attention.flops, attention.traffic_bytes
    ),
    Operation(
        "decode_attention", "attention of single queries", attention.flops, attention.traffic_bytes
    ),
    Operation(
        "mamba_prefill", "Mamba-2 scan over chunks", mamba.prefill_flops, mamba.traffic_bytes
    ),
    Operation("mamba_decode", "Mamba-2 recurrence", mamba.decode_flops, mamba.traffic_bytes),
    Operation(
        "elementwise", "norm, rotation, activation, copy", elementwise.flops,
        elementwise.traffic_bytes,
    ),
    Operation("sample", "one token from logits", sampling.flops, sampling.traffic_bytes),
    Operation("all_reduce", "sum over devices", collective.flops, collective.all_reduce_bytes),
    Operation("all_gather", "shards to all devices", collective.flops, collective.all_gather_bytes),
    Operation(
        "reduce_scatter", "sum, one shard a device", collective.flops,
        collective.reduce_scatter_bytes,
    ),
    Operation("all_to_all", "messages among devices", collective.flops,
              collective.all_to_all_bytes),
    Operation(
        "prefill_attention_backward", "gradients of causal attention of a chunk",
        attention.backward_flops, attention.backward_bytes,
    ),
)  # fmt: skip
_BY_NAME = {operation.name: operation for operation in _ALL}

OPERATIONS: dict[str, Operation] = {name: _BY_NAME[name] for name in OPS}
"""Name -> operation, in the order of `OPS`."""


def flops(ops: OpTable) -> NDArray[np.float64]:
    """Return floating-point operations, float64[n]; a multiply-add is two."""
    return _dispatch(ops, lambda operation: operation.flops)


def traffic_bytes(ops: OpTable) -> NDArray[np.float64]:
    """Return ideal bytes between the device and its memory, float64[n]."""
    return _dispatch(ops, lambda operation: operation.bytes)


def _dispatch(ops: OpTable, formula: Callable[[Operation], Formula]) -> NDArray[np.float64]:
    result = np.zeros(len(ops))
    for code in np.flatnonzero(np.bincount(ops.op, minlength=len(OPS))):
        mask = ops.op == code
        result[mask] = formula(OPERATIONS[OPS[code]])(ops.take(mask))
    return result
