"""What the FlashAttention schedules share: tiles of queries against blocks of keys, over SMs."""

from __future__ import annotations

import math

from tierlab.hwmodels.time.schedules.problem import Problem
from tierlab.hwmodels.time.silicon.machine import Machine

HBM_SHARE = 0.85
"""Of the bandwidth, at most (assumption, 2026-11-21)."""
LAUNCH_S = 5e-6
"""A kernel's start (assumption, 2026-11-21)."""
FORWARD_PRODUCTS = 2.0
BACKWARD_PRODUCTS = 5.0
"""Scores again, dV, dP, dQ, dK."""


def products(problem: Problem) -> float:
    """Return how many products of queries and keys run."""
    return FORWARD_PRODUCTS + (BACKWARD_PRODUCTS if problem.backward else 0.0)


def visited(problem: Problem, rows: float, columns: float) -> float:
    """Return the share of the matrix of scores whose tiles are computed.

    Of a causal mask, tiles on the diagonal are computed whole.
    """
    if not problem.causal:
        return 1.0
    past = problem.kv_len - problem.q_len
    edge = (min(rows, problem.q_len) + min(columns, problem.kv_len)) / 2.0
    return min(1.0, (past + problem.q_len / 2.0 + edge / 2.0) / problem.kv_len)


def over_sms(ctas: int, sms: float, uneven: bool) -> float:
    """Return the time of the busiest SM over the mean, of CTAs that are equal or fall to 0.

    Equal CTAs run in whole waves. Those of a causal mask start with the longest, and end within
    half of one.
    """
    waves = ctas / sms
    if waves <= 1.0:
        return (2.0 if uneven else 1.0) / waves
    return 1.0 + 0.5 / waves if uneven else math.ceil(waves) / waves


def memory_s(moved: float, machine: Machine) -> float:
    """Return how long the memory takes to move so many bytes."""
    return moved / (HBM_SHARE * machine.bytes_per_s)


def near(head_dim: int, shares: dict[int, float]) -> float:
    """Return the share of the peak at the head width nearest to this one."""
    return shares[min(shares, key=lambda d: abs(d - head_dim))]
