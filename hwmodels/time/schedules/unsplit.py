"""Decode without splits: one CTA a KV head and sequence, however long (FlashAttention-2).

vLLM runs it for heads that are not grouped (`silicon.decode`, schedule ``flash2``).
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.schedules import decoding
from tierlab.hwmodels.time.schedules.problem import Cost, Problem
from tierlab.hwmodels.time.silicon.machine import Machine


def unsplit(problem: Problem, machine: Machine, rates: decoding.Rates = decoding.VLLM_A100) -> Cost:
    """Return what decode costs in whole waves of tiles, one CTA an SM."""
    tiles = decoding.tiles(problem)
    moved = decoding.streamed(problem)
    busiest = decoding.busiest(problem, np.ceil(tiles / machine.sms))
    seconds = rates.launch_s + decoding.stream_s(problem, machine, rates, busiest)
    return Cost(moved, decoding.flops(problem), seconds, tiles)
