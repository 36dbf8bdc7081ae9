"""Attention on a spatial array, in the terms of FuseMax (MICRO 2024, arXiv 2406.10491).

A two-dimensional array of multipliers, a line of vector lanes beside it, one buffer, one memory.

- ``flat``: scores pass through the vector lanes, four operations each (FLAT, the baseline). Its
  traffic is what must move at least; where the buffer no longer holds a row of scores (beyond
  `FLAT_KEYS`) the published times are those of the memory, which this does not follow;
- ``fusemax``: one pass over the keys, softmax on the two-dimensional array too: ten cycles a score
  beside its two products, and one head width of cycles to fill it for each tile of queries. The
  queries that half of the buffer holds with their outputs see all keys once.

Both give the times of the artifact (FPSG-UIUC/micro24-fusemax-artifact@f543beb,
workspace/outputs/pregenerated/results) within 0.1% where they apply.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tierlab.hwmodels.time.schedules.problem import Cost, Number, Problem

SOFTMAX_CYCLES = 10.0
"""On the two-dimensional array, a score: exponential, maximum, sum and rescaling. It is what the
artifact's cycles leave over beside the products."""
VECTOR_OPERATIONS = 4.0
"""On the vector lanes, a score, as the artifact's FLAT times show."""

FLAT_KEYS = 65536.0
"""The longest of the artifact's sequences whose scores stay in the buffer."""


@dataclass(frozen=True)
class SpatialArray:
    """The accelerator; the defaults are FuseMax's cloud configuration (arch-2d.yaml)."""

    rows: int = 256
    columns: int = 256
    lanes: int = 256
    clock_hz: float = 1.0 / 1.0638e-9
    buffer_bytes: float = 16 * 2**20
    bytes_per_s: float = 400 * 2**30


CLOUD = SpatialArray()


def flat(problem: Problem, array: SpatialArray = CLOUD) -> Cost:
    """Return what FLAT costs while a row of scores stays in the buffer."""
    scores = 1.0 * problem.lanes * problem.q_len * problem.kv_len
    cycles = scores * np.maximum(
        VECTOR_OPERATIONS / array.lanes, 2.0 * problem.head_dim / (array.rows * array.columns)
    )
    return _cost(problem, array, cycles, _once(problem))


def fusemax(problem: Problem, array: SpatialArray = CLOUD) -> Cost:
    """Return what FuseMax costs."""
    tiles = np.ceil(problem.q_len / array.rows)
    cells = tiles * np.ceil(problem.kv_len / array.columns)
    one = cells * (2.0 * problem.head_dim + SOFTMAX_CYCLES) + tiles * problem.head_dim
    held = 2.0 * problem.head_dim * problem.element_bytes
    chunks = np.ceil(problem.q_len / (array.buffer_bytes / 2.0 / held))
    moved = 2.0 * problem.query_bytes + 2.0 * problem.key_bytes * chunks
    return _cost(problem, array, problem.lanes * one, moved)


def _once(problem: Problem) -> Number:
    return 2.0 * problem.query_bytes + 2.0 * problem.key_bytes


def _cost(problem: Problem, array: SpatialArray, cycles: Number, moved: Number) -> Cost:
    seconds = np.maximum(cycles / array.clock_hz, moved / array.bytes_per_s)
    tiles = problem.lanes * np.ceil(problem.q_len / array.rows)
    return Cost(moved, 2.0 * problem.dense_flops, seconds, tiles)
