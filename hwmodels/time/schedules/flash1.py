"""FlashAttention (Dao et al., NeurIPS 2022, arXiv 2205.14135): keys outside, queries inside.

A CTA has one head. It holds a block of keys and values in SRAM and passes over all queries and
outputs for it, so that memory is read ``ceil(N / B_c)`` times, with ``B_c = M / 4d`` elements of an
SRAM of M (Algorithms 1 and 4; Theorem 2: O(N^2 d^2 / M)). Kernels exist for powers of two: for
heads of 64 on A100 backward takes 256 keys (``FMHA_kernel_traits<256, 64, ...>`` in PyTorch's
copy, fmha_bwd_hdim64.cu), which is what fits. The first pass finds no partial output or dQ to
read, and the products of outputs and their gradients are summed in it once. Later releases also
split the keys where heads are few; this is the paper's.
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.schedules import tiled
from tierlab.hwmodels.time.schedules.problem import Cost, Number, Problem
from tierlab.hwmodels.time.silicon.machine import Machine

SHARE = {64: 0.295, 128: 0.244}
"""Of the peak, by head width: 92 and 76 of 312 TFLOP/s, the medians of 512 to 2k without causal
mask in FlashAttention-2's README figure for A100 (column FlashAttention)."""
ROWS = 16.0
STATISTIC_BYTES = 4.0


def block(problem: Problem, sram_bytes: float) -> Number:
    """Return the keys of a block: the largest power of two of which four blocks fit the SRAM."""
    most = sram_bytes / (4.0 * problem.head_dim * problem.element_bytes)
    return 2.0 ** np.maximum(4.0, np.floor(np.log2(most)))


def hbm_bytes(problem: Problem, sram_bytes: float) -> Number:
    """Return the traffic with an SRAM of so many bytes (of one SM).

    Forward, of T passes: K and V once, Q T times, the partial output in T - 1 and out T times, two
    statistics a query likewise. Backward: K, V, dK, dV once, Q and dO T times, dQ in T - 1 and out
    T times, O once, two statistics in T times. Under a causal mask a pass starts at its block.
    """
    keys = block(problem, sram_bytes)
    turns = np.ceil(problem.kv_len / keys)
    seen = turns * tiled.visited(problem, ROWS, keys)
    first = seen / turns
    statistics = problem.lanes * problem.q_len * STATISTIC_BYTES * 2.0
    forward = 2.0 * problem.key_bytes + problem.query_bytes * (3.0 * seen - first)
    forward += statistics * (2.0 * seen - first)
    if not problem.backward:
        return forward
    back = 4.0 * problem.key_bytes + problem.query_bytes * (4.0 * seen - first + 1.0)
    return forward + back + statistics * seen


def flash1(problem: Problem, machine: Machine) -> Cost:
    """Return what FlashAttention costs."""
    keys = block(problem, machine.sram_bytes)
    moved = hbm_bytes(problem, machine.sram_bytes)
    flops = problem.dense_flops * tiled.products(problem) * tiled.visited(problem, ROWS, keys)
    peak = machine.peak("fp16") * tiled.near(problem.head_dim, SHARE)
    compute_s = flops / peak * tiled.over_sms(problem.lanes, machine.sms)
    busy_s = np.maximum(compute_s, tiled.memory_s(moved, machine))
    launches = 2 if problem.backward else 1
    return Cost(moved, flops, busy_s + launches * tiled.LAUNCH_S, problem.lanes)
