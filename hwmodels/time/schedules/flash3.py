"""FlashAttention-3 (Shah et al., 2024, arXiv 2407.08608): asynchronous copies and products, Hopper.

The tiles are FlashAttention-2's; producer and consumer warps overlap copies, products and softmax,
so that more of the peak is reached. On other architectures the kernel does not exist.
"""

from __future__ import annotations

from tierlab.hwmodels.time.schedules import tiled
from tierlab.hwmodels.time.schedules.flash2 import both_ways
from tierlab.hwmodels.time.schedules.problem import Cost, Problem
from tierlab.hwmodels.time.silicon.machine import Machine

FORWARD = {64: 0.50, 128: 0.66, 256: 0.75}
"""Of the peak: 740 of 989 TFLOP/s at the widest (abstract); narrower heads an assumption
(2026-11-21)."""
BACKWARD = {64: 0.40, 128: 0.55, 256: 0.55}
"""Assumption (2026-11-21)."""
ROWS = 128.0


def flash3(problem: Problem, machine: Machine) -> Cost:
    """Return what FlashAttention-3 costs."""
    shares = tiled.near(problem.head_dim, FORWARD), tiled.near(problem.head_dim, BACKWARD)
    return both_ways(problem, machine, ROWS, shares)
