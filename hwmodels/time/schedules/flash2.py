"""FlashAttention-2 (Dao, 2023, arXiv 2307.08691): queries outside, one tile of them a CTA.

The output stays on chip until it is done, so forward moves queries and outputs once and keys and
values once a tile; those repeats are served by L2 as long as one head's keys and values fit there.
Backward has keys outside and adds to dQ in 32 bits.
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.schedules import tiled
from tierlab.hwmodels.time.schedules.problem import Cost, Number, Problem
from tierlab.hwmodels.time.silicon.machine import Machine

FORWARD = {64: 0.61, 128: 0.72}
"""Of the peak. Heads of 128: 224 of 312 TFLOP/s on A100 (README). Of 64: assumption (2026-11-21),
in the ratio of both directions together."""
BACKWARD = {64: 0.53, 128: 0.60}
"""The same, such that both directions give 171 and 196 TFLOP/s at 4k (README figure, A100)."""
ROWS = 128.0
COLUMNS = 64.0
_DQ_BYTES = 4.0


def repeats(problem: Problem, machine: Machine, tiles: Number) -> Number:
    """Return how often keys and values come from memory: once, if those in use fit L2.

    Else, and never less than once, as often as all SMs start on tiles of one head anew: those that
    run at once go through its keys together (assumption, 2026-11-22; no public time depends on it).
    """
    lanes = np.minimum(problem.lanes, np.maximum(1.0, machine.sms / tiles))
    used = lanes / problem.lanes * 2.0 * problem.key_bytes
    return np.where(used <= machine.l2_bytes, 1.0, np.maximum(1.0, tiles / machine.sms))


def traffic(problem: Problem, machine: Machine, rows: float) -> Number:
    """Return the bytes that go through memory."""
    tiles = np.ceil(problem.q_len / rows)
    forward = 2.0 * problem.query_bytes
    forward += 2.0 * problem.key_bytes * repeats(problem, machine, tiles)
    if not problem.backward:
        return forward
    sums = problem.query_bytes / problem.element_bytes * _DQ_BYTES
    return forward + 5.0 * problem.query_bytes + 4.0 * problem.key_bytes + 2.0 * sums


def both_ways(
    problem: Problem, machine: Machine, rows: float, shares: tuple[Number, Number]
) -> Cost:
    """Return the cost of tiles of so many rows that reach these shares of the peak."""
    tiles = problem.lanes * np.ceil(problem.q_len / rows)
    whole = tiles * rows / (problem.lanes * problem.q_len)
    flops = problem.dense_flops * whole * tiled.visited(problem, rows, COLUMNS)
    seconds_a_product = flops / machine.peak("fp16")
    seconds = tiled.FORWARD_PRODUCTS * seconds_a_product / shares[0]
    if problem.backward:
        seconds += tiled.BACKWARD_PRODUCTS * seconds_a_product / shares[1]
    uneven = tiled.unevenness(problem, rows, COLUMNS)
    seconds = seconds * tiled.over_sms(tiles, machine.sms, uneven)
    moved = traffic(problem, machine, rows)
    launches = 3 if problem.backward else 1
    busy_s = np.maximum(seconds, tiled.memory_s(moved, machine)) + launches * tiled.LAUNCH_S
    return Cost(moved, flops * tiled.products(problem), busy_s, tiles)


def flash2(problem: Problem, machine: Machine) -> Cost:
    """Return what FlashAttention-2 costs."""
    shares = tiled.near(problem.head_dim, FORWARD), tiled.near(problem.head_dim, BACKWARD)
    return both_ways(problem, machine, ROWS, shares)
