"""Kernel models by name: adding one is a file and a line here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon import (
    flash4,
    nccl,
    own_reduce,
    stored_gemm,
    unified,
)
from tierlab.hwmodels.time.silicon.backward import BACKWARD
from tierlab.hwmodels.time.silicon.batched import BATCHED_GEMM
from tierlab.hwmodels.time.silicon.collective import COLLECTIVES
from tierlab.hwmodels.time.silicon.decode import DECODE
from tierlab.hwmodels.time.silicon.elementwise import ELEMENTWISE
from tierlab.hwmodels.time.silicon.gemm import GEMM
from tierlab.hwmodels.time.silicon.kernel import Kernel
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.mla import MLA_DECODE, MLA_PREFILL
from tierlab.hwmodels.time.silicon.moe import GROUPED_GEMM
from tierlab.hwmodels.time.silicon.named import Named
from tierlab.hwmodels.time.silicon.prefill import PREFILL
from tierlab.hwmodels.time.silicon.recurrent import RECURRENT_DECODE, RECURRENT_PREFILL
from tierlab.hwmodels.time.silicon.sampling import SAMPLE
from tierlab.hwmodels.time.silicon.selection import TOP_K
from tierlab.kernels.ops.table import OPS, OpTable

_PLAIN = (
    DECODE, PREFILL, GEMM, ELEMENTWISE, GROUPED_GEMM, RECURRENT_DECODE, RECURRENT_PREFILL,
    BACKWARD, SAMPLE, *COLLECTIVES.values(),
)  # fmt: skip
KERNELS: dict[str, Kernel] = {kernel.op: kernel for kernel in _PLAIN} | {
    "mla_decode": MLA_DECODE,
    "mla_prefill": MLA_PREFILL,
    "batched_gemm": BATCHED_GEMM,
    "top_k": TOP_K,
}
"""Operation, or variant of one -> its model. What is not here is left to the roofline."""
NAMED = (
    Named(flash4.MARK, (flash4.DECODE, flash4.PREFILL), flash4.runs),
    Named(unified.MARK, (unified.DECODE, unified.PREFILL)),
    Named(nccl.MARK, nccl.MODELS),
    Named(own_reduce.MARK, own_reduce.MODELS),
    *(Named(mark, (model,)) for mark, model in stored_gemm.MODELS.items()),
)
"""Kernels that their name tells: no schedule of the operation's plain model is theirs."""
VARIANTS = {
    "decode_attention": "mla_decode",
    "prefill_attention": "mla_prefill",
    "grouped_gemm": "batched_gemm",
    "sample": "top_k",
}
"""Operation -> the variant that other kernels run; `is_variant` says which rows."""
Rows = NDArray[np.bool_]
_DECODE, _PREFILL, _GROUPED, _SAMPLE = (OPS.index(op) for op in VARIANTS)


def model_of(measured: Measured, machine: Machine) -> Kernel:
    """Return the model that a kernel's times are fitted to."""
    key = measured.key
    for named in NAMED:
        if named.mark in key.kernel and named.runs(measured.ops, machine):
            for kernel in named.models:
                if kernel.op == key.op:
                    return kernel
    return KERNELS[key.op]


def model_with(op: str, schedule: str) -> Kernel:
    """Return the model of an operation that knows a schedule; the plain one if no other does."""
    own = (kernel for named in NAMED for kernel in named.models if kernel.op == op)
    return next((kernel for kernel in own if schedule in kernel.schedules), KERNELS[op])


def is_variant(ops: OpTable) -> Rows:
    """Say which rows other kernels run, bool[n].

    MLA's decode over latents, its prefill with values narrower than keys, grouped products in which
    every row visits every matrix, and selection among scores of keys.
    """
    found, present = np.zeros(len(ops), np.bool_), np.bincount(ops.op, minlength=len(OPS)) > 0
    kinds = (_DECODE, _latent), (_PREFILL, _narrow), (_GROUPED, _whole), (_SAMPLE, _of_keys)
    for op, varies in kinds:
        if present[op]:
            found |= (ops.op == op) & varies(ops)
    return found


def _latent(ops: OpTable) -> Rows:
    absorbed: Rows = ops["latent_rank"] > 0
    return absorbed


def _narrow(ops: OpTable) -> Rows:
    differs = (ops["v_head_dim"] > 0) & (ops["v_head_dim"] != ops["head_dim"])
    plain: Rows = differs & (ops["latent_rank"] == 0)
    return plain


def _whole(ops: OpTable) -> Rows:
    all_visited: Rows = (ops["experts"] > 0) & (ops["top_k"] >= ops["experts"])
    return all_visited


def _of_keys(ops: OpTable) -> Rows:
    told: Rows = ops["kv_len"] > 0
    return told
