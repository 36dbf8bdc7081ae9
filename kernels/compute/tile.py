"""Four rows of a matrix product at a time, 64 or 16 columns of it in registers.

``c[4, n] += a[4, depth] b[depth, n]``, all flat arrays with a place and a step from row to row.
Sixteen accumulators hide the latency of a fused multiply-add; a row of `b` is loaded once for
four rows of `a`. While `b` is read, as many lines are asked for from `soon`, at `then`: memory
works on what comes next during the arithmetic.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from tierlab.kernels.compute.simd import LANES, fma, load, prefetch, spread, store

WIDE = 64


def product(a, at, a_step, b, of, b_step, depth, c, to, c_step, columns, soon, then):
    """Add a product of four rows and `columns`, a multiple of 16."""
    wide = columns - columns % WIDE
    for n in range(0, wide, WIDE):
        by64(a, at, a_step, b, of + n, b_step, depth, c, to + n, c_step, soon, then + n * depth)
    for n in range(wide, columns, LANES):
        by16(a, at, a_step, b, of + n, b_step, depth, c, to + n, c_step, soon, then + n * depth)


def by64(a, at, a_step, b, of, b_step, depth, c, to, c_step, soon, then):
    """Add a product of four rows and 64 columns."""
    to1, to2, to3 = to + c_step, to + 2 * c_step, to + 3 * c_step
    a0, a1, a2, a3 = load(c, to), load(c, to + 16), load(c, to + 32), load(c, to + 48)
    b0, b1, b2, b3 = load(c, to1), load(c, to1 + 16), load(c, to1 + 32), load(c, to1 + 48)
    c0, c1, c2, c3 = load(c, to2), load(c, to2 + 16), load(c, to2 + 32), load(c, to2 + 48)
    d0, d1, d2, d3 = load(c, to3), load(c, to3 + 16), load(c, to3 + 32), load(c, to3 + 48)
    for k in range(depth):
        row, ahead = of + k * b_step, then + k * WIDE
        v0, v1, v2, v3 = load(b, row), load(b, row + 16), load(b, row + 32), load(b, row + 48)
        prefetch(soon, ahead)
        prefetch(soon, ahead + 16)
        prefetch(soon, ahead + 32)
        prefetch(soon, ahead + 48)
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


def by16(a, at, a_step, b, of, b_step, depth, c, to, c_step, soon, then):
    """Add a product of four rows and 16 columns."""
    v, w = load(c, to), load(c, to + c_step)
    x, y = load(c, to + 2 * c_step), load(c, to + 3 * c_step)
    for k in range(depth):
        row = load(b, of + k * b_step)
        prefetch(soon, then + k * LANES)
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
    for i in range(count):
        c[to + i] = 0.0
