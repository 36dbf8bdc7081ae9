"""The best tile and split of a dense product, compiled: 31 candidates a row.

What `gemm` describes, for rows of one pair of dtypes. Fourth powers are compared where a time is a
4-norm. (2026-11-21, one core: bf16 GEMM on H200 from 1.97 to 0.62 us a shape with its trees.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.binding import Compiled, entered, plain

Floats = NDArray[np.float64]
STEP = 64.0
"""Elements of k that one step of a CTA's loop consumes."""
_BLOCK = 1024
"""Rows at a time: their columns stay in the processor's first cache."""


class Rates(NamedTuple):
    """What all rows share.

    Attributes
    ----------
    sms, flop_per_s
        SMs; the arithmetic of all.
    hbm, sm, l2
        Bytes/s of memory, of what one SM draws from it, of L2.
    operand, stored
        Bytes of one input and of one weight.
    whole, step_s, reduce_s
        How whole waves are; the least that a step takes; adding up splits.
    """

    sms: float
    flop_per_s: float
    hbm: float
    sm: float
    l2: float
    operand: float
    stored: float
    whole: float
    step_s: float
    reduce_s: float


class Tile(NamedTuple):
    """Rows, columns, share of the peak, prologue and epilogue, and the most parts of k.

    Then the bytes that the stacks of its threads take to L2 and back.
    """

    rows: float
    columns: float
    share: float
    edge_s: float
    splits: int
    stack: float = 0.0


def least_s(columns: Sequence[Floats], rates: Rates, tiles: Sequence[Tile]) -> Floats:
    """Return the time with the best of some tiles, split 1, 2, 4 ... ways over k, s, float64[n].

    Parameters
    ----------
    columns
        m, n, k; then the time that reading takes at the full rate, the time that writing to memory
        takes, and the bytes written, each float64[n].
    rates, tiles
        Of the machine and the kernel.
    """
    best = np.full(len(columns[0]), np.inf)
    work, known = np.empty((3, _BLOCK)), np.array(tiles, np.float64)
    try_tiles: Compiled = (
        _try_tiles if plain(len(best)) else entered(_try_tiles, error_model="numpy")
    )
    for start in range(0, len(best), _BLOCK):
        part = [np.ascontiguousarray(c[start : start + _BLOCK]) for c in columns]
        try_tiles(*part, rates, known, work, best[start : start + _BLOCK])
    return best


def _try_tiles(
    m: Floats,
    n: Floats,
    k: Floats,
    read_s: Floats,
    write_s: Floats,
    written: Floats,
    r: Rates,
    tiles: Floats,
    work: Floats,
    best: Floats,
) -> None:
    """Lower `best` to the time with the best of `tiles`, float64[tiles, 6], where it is less."""
    for t in range(len(tiles)):
        rows, columns, share, edge_s = tiles[t, 0], tiles[t, 1], tiles[t, 2], tiles[t, 3]
        tile = Tile(rows, columns, share, edge_s, int(tiles[t, 4]), tiles[t, 5])
        _try_tile(m, n, k, read_s, write_s, written, r, tile, work, best)


def _try_tile(
    m: Floats,
    n: Floats,
    k: Floats,
    read_s: Floats,
    write_s: Floats,
    written: Floats,
    r: Rates,
    tile: Tile,
    work: Floats,
    best: Floats,
) -> None:
    """Lower `best` to the time with this tile, where it is less."""
    outputs, busy, stream_s = work[0], work[1], work[2]
    per_k = 2.0 * tile.rows * tile.columns * r.sms / tile.share / r.flop_per_s
    line_s = (tile.rows * r.operand + tile.columns * r.stored) / r.l2
    stack_s, edge_s = tile.stack / r.l2, tile.edge_s + tile.stack / r.sm
    slow, splits = r.hbm / r.sm, 1
    for i in range(len(m)):
        outputs[i] = np.ceil(m[i] / tile.rows) * np.ceil(n[i] / tile.columns)
    while splits <= tile.splits:
        for i in range(len(m)):
            ctas = outputs[i] * splits
            exact = ctas / r.sms
            waves = exact + r.whole * (np.ceil(exact) - exact) if exact > 1.0 else 1.0
            depth = np.ceil(k[i] / (splits * STEP)) * STEP
            few = slow / (r.sms if ctas > r.sms else ctas)
            lag = 1.0 + few * few * few * few
            memory = read_s[i] * np.sqrt(np.sqrt(lag)) + write_s[i]
            compute = waves * (depth * per_k + edge_s)
            stream = (waves if waves < exact else exact) * r.sms * (depth * line_s + stack_s)
            floor = depth * (r.step_s / STEP)
            floor = stream if stream > floor else floor
            both, limit = compute * compute, memory * memory
            busy[i] = both * both + limit * limit
            stream_s[i] = floor
        for i in range(len(m)):
            total = np.sqrt(np.sqrt(busy[i]))
            total = total if total > stream_s[i] else stream_s[i]
            if splits > 1:
                total += r.reduce_s + written[i] * (2.0 * splits) / r.l2
            best[i] = total if total < best[i] else best[i]
        splits *= 2
