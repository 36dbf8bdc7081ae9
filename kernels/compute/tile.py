"""Four rows of a matrix product at a time, sixteen sums of it in registers.

``c[4, n] += a[4, depth] b[depth, n]``, all flat arrays with a place and a step from row to row.
Sixteen vectors of sums hide the latency of a fused multiply-add. `b` is what comes from memory, and
its rows are read whole, in order: hardware fetches ahead of an ascending walk, so that arithmetic
costs no time, where a walk over half rows takes twice as long. Where a slice of `b` is met again in
the first cache, what comes `AHEAD` floats later is asked for, so that memory does not rest.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import numpy as np

from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.simd import fma, load, prefetch_second, splat, spread, store

WIDE = 64
WHOLE = 128
DEEP = 16
"""Rows of `b` that stay in the first cache while two rows of `a`, then the others, meet them."""
AHEAD = DEEP * WHOLE


def product(a, at, a_step, b, of, b_step, depth, c, to, c_step, columns):
    """Add a product of four rows and `columns`, a multiple of 16."""
    whole = columns - columns % WHOLE
    for k in range(0, depth if whole > 0 else 0, DEEP):
        deep, row = min(DEEP, depth - k), of + k * b_step
        for n in range(0, whole, WHOLE):
            by128(a, at + k, a_step, b, row + n, b_step, deep, c, to + n, c_step, 0)
            by128(
                a, at + 2 * a_step + k, a_step, b, row + n, b_step, deep, c, to + 2 * c_step + n,
                c_step, AHEAD,
            )  # fmt: skip
    wide = columns - columns % WIDE
    for n in range(whole, wide, WIDE):
        by64(a, at, a_step, b, of + n, b_step, depth, c, to + n, c_step)
    for n in range(wide, columns, LANES):
        by16(a, at, a_step, b, of + n, b_step, depth, c, to + n, c_step)


def by128(a, at, a_step, b, of, b_step, depth, c, to, c_step, ahead):
    """Add a product of two rows and 128 columns; ask for what comes `ahead` floats on, if any."""
    second = to + c_step
    a0, a1, a2, a3 = load(c, to), load(c, to + 16), load(c, to + 32), load(c, to + 48)
    a4, a5, a6, a7 = load(c, to + 64), load(c, to + 80), load(c, to + 96), load(c, to + 112)
    b0, b1, b2, b3 = (
        load(c, second),
        load(c, second + 16),
        load(c, second + 32),
        load(c, second + 48),
    )
    b4, b5 = load(c, second + 64), load(c, second + 80)
    b6, b7 = load(c, second + 96), load(c, second + 112)
    for k in range(depth):
        row = of + k * b_step
        if ahead > 0:
            prefetch_second(b, row + ahead)
            prefetch_second(b, row + ahead + 32)
            prefetch_second(b, row + ahead + 64)
            prefetch_second(b, row + ahead + 96)
        x, y = spread(a, at + k), spread(a, at + a_step + k)
        v0, v1, v2, v3 = load(b, row), load(b, row + 16), load(b, row + 32), load(b, row + 48)
        a0, a1, a2, a3 = fma(x, v0, a0), fma(x, v1, a1), fma(x, v2, a2), fma(x, v3, a3)
        b0, b1, b2, b3 = fma(y, v0, b0), fma(y, v1, b1), fma(y, v2, b2), fma(y, v3, b3)
        v0, v1, v2, v3 = load(b, row + 64), load(b, row + 80), load(b, row + 96), load(b, row + 112)
        a4, a5, a6, a7 = fma(x, v0, a4), fma(x, v1, a5), fma(x, v2, a6), fma(x, v3, a7)
        b4, b5, b6, b7 = fma(y, v0, b4), fma(y, v1, b5), fma(y, v2, b6), fma(y, v3, b7)
    _store4(c, to, a0, a1, a2, a3)
    _store4(c, to + 64, a4, a5, a6, a7)
    _store4(c, second, b0, b1, b2, b3)
    _store4(c, second + 64, b4, b5, b6, b7)


def by64(a, at, a_step, b, of, b_step, depth, c, to, c_step):
    """Add a product of four rows and 64 columns."""
    to1, to2, to3 = to + c_step, to + 2 * c_step, to + 3 * c_step
    a0, a1, a2, a3 = load(c, to), load(c, to + 16), load(c, to + 32), load(c, to + 48)
    b0, b1, b2, b3 = load(c, to1), load(c, to1 + 16), load(c, to1 + 32), load(c, to1 + 48)
    c0, c1, c2, c3 = load(c, to2), load(c, to2 + 16), load(c, to2 + 32), load(c, to2 + 48)
    d0, d1, d2, d3 = load(c, to3), load(c, to3 + 16), load(c, to3 + 32), load(c, to3 + 48)
    for k in range(depth):
        row = of + k * b_step
        v0, v1, v2, v3 = load(b, row), load(b, row + 16), load(b, row + 32), load(b, row + 48)
        x = spread(a, at + k)
        a0, a1, a2, a3 = fma(x, v0, a0), fma(x, v1, a1), fma(x, v2, a2), fma(x, v3, a3)
        x = spread(a, at + a_step + k)
        b0, b1, b2, b3 = fma(x, v0, b0), fma(x, v1, b1), fma(x, v2, b2), fma(x, v3, b3)
        x = spread(a, at + 2 * a_step + k)
        c0, c1, c2, c3 = fma(x, v0, c0), fma(x, v1, c1), fma(x, v2, c2), fma(x, v3, c3)
        x = spread(a, at + 3 * a_step + k)
        d0, d1, d2, d3 = fma(x, v0, d0), fma(x, v1, d1), fma(x, v2, d2), fma(x, v3, d3)
    _store4(c, to, a0, a1, a2, a3)
    _store4(c, to1, b0, b1, b2, b3)
    _store4(c, to2, c0, c1, c2, c3)
    _store4(c, to3, d0, d1, d2, d3)


def _store4(c, to, v0, v1, v2, v3):
    store(c, to, v0)
    store(c, to + 16, v1)
    store(c, to + 32, v2)
    store(c, to + 48, v3)


def by16(a, at, a_step, b, of, b_step, depth, c, to, c_step):
    """Add a product of four rows and 16 columns."""
    v, w = load(c, to), load(c, to + c_step)
    x, y = load(c, to + 2 * c_step), load(c, to + 3 * c_step)
    for k in range(depth):
        row = load(b, of + k * b_step)
        v = fma(spread(a, at + k), row, v)
        w = fma(spread(a, at + a_step + k), row, w)
        x = fma(spread(a, at + 2 * a_step + k), row, x)
        y = fma(spread(a, at + 3 * a_step + k), row, y)
    store(c, to, v)
    store(c, to + c_step, w)
    store(c, to + 2 * c_step, x)
    store(c, to + 3 * c_step, y)


def clear(c, to, count):
    """Write `count` zeros, a multiple of 16."""
    nothing = splat(np.float32(0.0))
    for i in range(to, to + count, LANES):
        store(c, i, nothing)
