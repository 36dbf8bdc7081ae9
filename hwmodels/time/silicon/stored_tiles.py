"""The best tile and split of products as TensorRT-LLM runs them, compiled: 35 candidates a row.

What `stored_gemm` describes, for rows of one pair of dtypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.binding import Compiled, entered, plain

Floats = NDArray[np.float64]
STEP = 64.0
"""Elements of k that one step of a CTA's loop takes."""


class Costs(NamedTuple):
    """What all rows share.

    Attributes
    ----------
    sms, flop_per_s
        SMs; the arithmetic of all, at the share of the peak that the largest tile reaches.
    hbm, sm, l2
        Bytes/s of memory, of what one SM draws from it, of L2.
    operand, stored
        Bytes of one input and of one weight.
    widen_s
        What widening one weight takes an SM.
    small
        How efficiency falls with a tile's area: a power.
    edge_s
        Prologue and epilogue of the largest tile.
    step_s, reduce_s
        What a step takes whatever it multiplies; one part of k after another adding up.
    whole
        How whole waves are.
    splits
        Parts of k at most, each of as many whole steps as the others.
    """

    sms: float
    flop_per_s: float
    hbm: float
    sm: float
    l2: float
    operand: float
    stored: float
    widen_s: float
    small: float
    edge_s: float
    step_s: float
    reduce_s: float
    whole: float
    splits: int


def least_s(
    shape: Sequence[Floats], costs: Costs, tiles: Sequence[tuple[int, int]], few_s: Floats
) -> Floats:
    """Return the time of what is fastest, s, float64[n].

    Parameters
    ----------
    shape
        m, n and k, each float64[n].
    costs, tiles
        Of the machine and the kernel; rows and columns of each tile.
    few_s
        float64[n]: what the kernel for few rows takes, infinite where it does not run.
    """
    best, known = few_s.copy(), np.array(tiles, np.float64)
    each: Compiled = _each if plain(len(best)) else entered(_each, error_model="numpy")
    each(*(np.ascontiguousarray(c) for c in shape), costs, known, best)
    return best


def _each(m: Floats, n: Floats, k: Floats, c: Costs, tiles: Floats, best: Floats) -> None:
    """Lower `best` to the time of the best tile and split, where it is less."""
    for i in range(len(m)):
        for t in range(len(tiles)):
            for s in range(1, c.splits + 1):
                if s == 1 or k[i] % (s * STEP) == 0.0:
                    found = _tile_s(m[i], n[i], k[i], c, tiles[t, 0], tiles[t, 1], s)
                    best[i] = min(found, best[i])


def _tile_s(m: float, n: float, k: float, c: Costs, rows: float, columns: float, s: int) -> float:
    """Return the time with one tile, split `s` ways over k, s."""
    area = rows * columns / 32768.0
    wide = np.ceil(n / columns) * s
    exact = np.ceil(m / rows) * wide / c.sms
    waves = exact + c.whole * (np.ceil(exact) - exact) if exact > 1.0 else 1.0
    steps = np.ceil(k / (s * STEP))
    per_k = 2.0 * rows * columns * c.sms / (c.flop_per_s * area**c.small) + columns * c.widen_s
    compute = waves * (steps * STEP * per_k + c.edge_s * np.sqrt(area))
    few = c.hbm / (c.sm * min(wide, c.sms))
    memory = n * k * c.stored / c.hbm * np.sqrt(np.sqrt(1.0 + few * few * few * few))
    line = (rows * c.operand + columns * c.stored) * steps * STEP
    stream = exact * c.sms * line / c.l2
    a, b, d = compute * compute, memory * memory, stream * stream
    total = np.sqrt(np.sqrt(a * a + b * b + d * d)) + steps * c.step_s
    return float(total + (s - 1.0) * c.reduce_s + (s > 1) * m * n * 2.0 * s / c.l2)
