"""Standard attention: every step is a kernel, and the scores go through memory each time.

Kernels and passes over the matrix of scores are those of the reference that FlashAttention is
measured against (Dao-AILab/flash-attention, ``attention_pytorch`` of
benchmarks/benchmark_flash_attention.py): the scale is part of the first product, the gradient of an
added mask costs nothing, dropout keeps one byte an element.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tierlab.hwmodels.time.schedules.problem import Cost, Number, Problem
from tierlab.hwmodels.time.schedules.tiled import HBM_SHARE, LAUNCH_S
from tierlab.hwmodels.time.silicon.machine import Machine

SM_BYTES_PER_S = 9.7e9
"""What these kernels draw an SM. Median over the rows "PyTorch" without causal mask, 1k to 8k, of
FlashAttention-2's README figure for A100 80GB (36 to 86 TFLOP/s;
`benchmarks/attention_schedules.py` prints the fit). FlashAttention's own measurements on A100 40GB,
whose memory is a quarter slower, are not used; their rate is the same, so the SMs limit it."""


def passes(problem: Problem) -> tuple[Number, int]:
    """Return passes over the matrix of scores, and kernels.

    Forward: scores out (1); mask in and out (2); softmax in and out (2); dropout in, out and its
    mask (2 + 1 byte); product in (1). Backward: dV in (1), dP out (1), dropout in, out and mask,
    softmax of P and dP in and dS out (3), a filled mask in and out (2), dQ and dK in (2).
    """
    dropped = (2.0 + 1.0 / problem.element_bytes) * problem.dropout
    masked = problem.mask != "none"
    count, kernels = 4.0 + 2.0 * masked + dropped, 3 + masked + problem.dropout
    if not problem.backward:
        return count, kernels
    filled = problem.mask == "filled"
    return count + 7.0 + 2.0 * filled + dropped, kernels + 5 + filled + problem.dropout


def ends(problem: Problem) -> Number:
    """Return the traffic of queries, keys, values, outputs and their gradients, bytes."""
    forward = 2.0 * problem.query_bytes + 2.0 * problem.key_bytes
    if not problem.backward:
        return forward
    return forward + 4.0 * problem.query_bytes + 4.0 * problem.key_bytes


def materialised(problem: Problem, machine: Machine) -> Cost:
    """Return what standard attention costs; a window is one more mask, and saves nothing."""
    problem = replace(problem, window=0.0)
    count, kernels = passes(problem)
    moved = count * problem.score_bytes + ends(problem)
    rate = min(HBM_SHARE * machine.bytes_per_s, machine.sms * SM_BYTES_PER_S)
    flops = problem.dense_flops * (6.0 if problem.backward else 2.0)
    compute_s = flops / machine.peak("fp16")
    busy_s = np.maximum(moved / rate, compute_s)
    return Cost(moved, flops, busy_s + kernels * LAUNCH_S, problem.lanes)
