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
    best, known = few_s.copy(), np.array([_tile(*sides, costs) for sides in tiles])
    each: Compiled = _each if plain(len(best)) else entered(_each, error_model="numpy")
    each(*(np.ascontiguousarray(c) for c in shape), costs, known, best)
    return best


def _tile(rows: int, columns: int, c: Costs) -> tuple[float, ...]:
    """Return a tile's sides, the time of a step of one wave, and of its ends; the step's bytes."""
    area = rows * columns / 32768.0
    multiply = 2.0 * rows * columns * c.sms / (c.flop_per_s * area**c.small)
    step_s = STEP * (multiply + columns * c.widen_s)
    line = STEP * (rows * c.operand + columns * c.stored)
    return float(rows), float(columns), step_s, c.edge_s * area**0.5, line


def _each(m: Floats, n: Floats, k: Floats, c: Costs, tiles: Floats, best: Floats) -> None:
    """Lower `best` to the time of the best tile and split, where it is less."""
    for i in range(len(m)):
        read_s = n[i] * k[i] * c.stored / c.hbm
        for t in range(len(tiles)):
            high, wide = np.ceil(m[i] / tiles[t, 0]), np.ceil(n[i] / tiles[t, 1])
            for s in range(1, c.splits + 1):
                if s > 1 and k[i] % (s * STEP) != 0.0:
                    continue
                steps = np.ceil(k[i] / (s * STEP))
                found = _tile_s(high, wide * s, steps, read_s, c, tiles[t])
                if s > 1:
                    found += (s - 1.0) * c.reduce_s + m[i] * n[i] * 2.0 * s / c.l2
                best[i] = min(found, best[i])


def _tile_s(high: float, wide: float, steps: float, read_s: float, c: Costs, tile: Floats) -> float:
    """Return the time of `high` by `wide` CTAs of some steps each, s: a 4-norm, and the steps."""
    exact = high * wide / c.sms
    waves = exact + c.whole * (np.ceil(exact) - exact) if exact > 1.0 else 1.0
    compute = waves * (steps * tile[2] + tile[3])
    few = c.hbm / (c.sm * min(wide, c.sms))
    stream = exact * c.sms * steps * tile[4] / c.l2
    a, b, d, lag = compute * compute, read_s * read_s, stream * stream, few * few
    total = np.sqrt(np.sqrt(a * a + b * b * (1.0 + lag * lag) + d * d))
    return float(total + steps * c.step_s)
