"""The best of TensorRT-LLM's tiles for stored weights and for 8-bit products, compiled.

What `stored_gemm` describes: each of a kernel's tiles is split 1 to 7 ways over k, and the engine
keeps what was fastest when it was built for the next power of two of rows.
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
        The least that a step takes; one part of k after another adding up.
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


def least_s(m: Floats, n: Floats, k: Floats, costs: Costs, tiles: Sequence[tuple[int, int]],
            few_s: Floats) -> Floats:
    """Return the time of what is fastest for 2^i rows, the next above `m`, s, float64[n].

    Parameters
    ----------
    m, n, k
        float64[n].
    costs, tiles
        Of the machine and the kernel; rows and columns of each tile.
    few_s
        float64[n]: what the kernel for few rows takes, infinite where it does not run.
    """
    best = np.ascontiguousarray(few_s, np.float64).copy()
    known = np.array(tiles, np.float64)
    each: Compiled = _each if plain(len(best)) else entered(_each, error_model="numpy")
    each(*(np.ascontiguousarray(c) for c in (m, n, k)), costs, known, best)
    return best


def _each(m: Floats, n: Floats, k: Floats, c: Costs, tiles: Floats, best: Floats) -> None:
    for i in range(len(m)):
        rounded, one = 1.0, best[i]
        while rounded < m[i]:
            rounded *= 2.0
        for t in range(len(tiles)):
            for s in range(1, c.splits + 1):
                if s > 1 and k[i] % (s * STEP) != 0.0:
                    continue
                found = _tile_s(rounded, n[i], k[i], c, tiles[t, 0], tiles[t, 1], s)
                if found < one:
                    one = found
                    best[i] = _tile_s(m[i], n[i], k[i], c, tiles[t, 0], tiles[t, 1], s)


def _tile_s(m: float, n: float, k: float, c: Costs, rows: float, columns: float, s: int) -> float:
    """Return the time with one tile, split `s` ways over k, s."""
    area = rows * columns / 32768.0
    high, wide = np.ceil(m / rows), np.ceil(n / columns)
    ctas = high * wide * s
    exact = ctas / c.sms
    waves = exact + c.whole * (np.ceil(exact) - exact) if exact > 1.0 else 1.0
    steps = np.ceil(k / (s * STEP))
    share = area**c.small
    step = 2.0 * rows * columns * c.sms / (c.flop_per_s * share) + columns * c.widen_s
    compute = waves * (steps * STEP * step + c.edge_s * np.sqrt(area))
    few = c.hbm / (c.sm * min(ctas, c.sms))
    lag = np.sqrt(np.sqrt(1.0 + few * few * few * few))
    memory = n * k * c.stored * lag / c.hbm
    line = (rows * c.operand + columns * c.stored) * steps * STEP
    stream = ctas * line / c.l2
    floor = max(stream, steps * c.step_s)
    a, b = compute * compute, memory * memory
    total = max(np.sqrt(np.sqrt(a * a + b * b)), floor)
    if s > 1:
        total += c.reduce_s * (s - 1) + m * n * 2.0 * s / c.l2
    return float(total)
