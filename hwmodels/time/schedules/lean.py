"""Lean Attention (Sanovar et al., 2024, arXiv 2405.10480): stream-K over all keys of all tiles.

The blocks of all tiles form one line that is cut into as many equal parts as there are SMs, so that
none waits for another; a tile that is cut is put together by the CTA that finishes it, since the
rescaling of softmax is associative.
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.schedules import decoding
from tierlab.hwmodels.time.schedules.problem import Cost, Problem
from tierlab.hwmodels.time.silicon.machine import Machine

JOIN_S = 2e-6
"""Waiting for the parts of one tile, in the same kernel (assumption, 2026-11-21)."""
RATES = decoding.Rates(
    decoding.VLLM_A100.launch_s, decoding.VLLM_A100.cta_bytes_per_s, decoding.TRTLLM_A100.hbm_share
)
"""One kernel, as FlashAttention-2's, on a memory that a full grid loads as TensorRT-LLM's does."""
_PARTIAL_BYTES = 4.0


def lean(problem: Problem, machine: Machine, rates: decoding.Rates = RATES) -> Cost:
    """Return what decode costs with equal work on every SM."""
    tiles = decoding.tiles(problem)
    blocks = tiles * decoding.blocks(problem.reach)
    ctas = np.minimum(machine.sms, blocks)
    busiest = np.ceil(blocks / ctas) * decoding.block_bytes(problem)
    cut = np.where(tiles % ctas > 0, ctas, 0.0)
    partial = cut * (problem.heads / problem.kv_heads) * (problem.head_dim + 2.0) * _PARTIAL_BYTES
    seconds = rates.launch_s + decoding.stream_s(problem, machine, rates, busiest)
    moved = decoding.streamed(problem) + 2.0 * partial
    return Cost(moved, decoding.flops(problem), seconds + JOIN_S * (cut > 0), ctas)
