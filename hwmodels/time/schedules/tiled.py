"""What the FlashAttention schedules share: tiles of queries against blocks of keys, over SMs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.schedules.problem import Number, Problem
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


def visited(problem: Problem, rows: float, columns: Number) -> Number:
    """Return the share of the matrix of scores whose tiles are computed.

    Of a causal mask, tiles on the diagonal are computed whole; of a window, those on its far edge.
    """
    if not problem.causal:
        return 1.0
    keys = problem.mean_reach + _edges(problem) * _edge(problem, rows, columns) / 2.0
    return np.minimum(1.0, keys / problem.kv_len)


def unevenness(problem: Problem, rows: float, columns: Number) -> Number:
    """Return the keys of the longest tile of queries over the mean: 2 at most of a causal mask."""
    if not problem.causal:
        return 1.0
    most = problem.reach + (_edges(problem) - 1.0) * _edge(problem, rows, columns)
    share = np.minimum(1.0, most / problem.kv_len) / visited(problem, rows, columns)
    return np.clip(share, 1.0, 2.0)


def _edges(problem: Problem) -> Number:
    return 1.0 + (problem.reach < problem.kv_len)


def _edge(problem: Problem, rows: float, columns: Number) -> Number:
    return (np.minimum(rows, problem.q_len) + np.minimum(columns, problem.kv_len)) / 2.0


def over_sms(ctas: Number, sms: float, unevenness: Number = 1.0) -> Number:
    """Return the time of the busiest SM over the mean.

    Equal CTAs run in whole waves. Those of a whole causal mask, from twice the mean down to
    nothing, start with the longest and end within half of one wave. What lies between is
    interpolated, and nothing ends before the longest.
    """
    waves, uneven = ctas / sms, unevenness - 1.0
    ends = np.ceil(waves) / waves + uneven * (1.0 + 0.5 / waves - np.ceil(waves) / waves)
    return np.maximum(ends, unevenness / waves)


def memory_s(moved: Number, machine: Machine) -> Number:
    """Return how long the memory takes to move so many bytes."""
    return moved / (HBM_SHARE * machine.bytes_per_s)


def near(head_dim: Number, shares: Mapping[int, float]) -> Number:
    """Return the share of the peak at the head width nearest to this one."""
    widths, values = np.array(list(shares)), np.array(list(shares.values()))
    return values[np.abs(np.subtract.outer(head_dim, widths)).argmin(axis=-1)]
