"""Four rows of numbers against 32 columns of codes at a time, dequantised in registers.

A code c stands in the fraction of a float, f = 1 + c / 2^bits, so that with x = low + scale c

    sum q x = sum (q scale 2^bits) f + sum q (low - scale 2^bits)

and only the first sum touches codes; the second is the same for all columns of a group.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import numpy as np

from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.simd import (
    fma,
    fraction,
    load,
    load_bytes,
    mul,
    prefetch,
    splat,
    spread,
    store,
    total,
)

PAIR = 32
"""Neighbours that one load of codes yields in two vectors."""


def unit(at, bits):
    """Return the byte of a row where 32 neighbours start, and the shift that brings them up."""
    per = 128 // bits
    return at // per * 16, 23 - bits - at % per // LANES * bits


def fold(x, at, step, scale, low, side, n, bits, own, w, then):
    """Multiply four rows of `n` numbers by their scales into `own`; return what the lows add."""
    span, minus = splat(np.float32(1 << bits)), splat(np.float32(-1.0))
    a = b = c = d = splat(np.float32(0.0))
    for i in range(0, n, LANES):
        prefetch(scale, side + then + i)
        prefetch(low, side + then + i)
        wide = mul(span, load(scale, side + i))
        rest = fma(minus, wide, load(low, side + i))
        number = load(x, at + i)
        store(own, w + i, mul(number, wide))
        a = fma(number, rest, a)
        number = load(x, at + step + i)
        store(own, w + n + i, mul(number, wide))
        b = fma(number, rest, b)
        number = load(x, at + 2 * step + i)
        store(own, w + 2 * n + i, mul(number, wide))
        c = fma(number, rest, c)
        number = load(x, at + 3 * step + i)
        store(own, w + 3 * n + i, mul(number, wide))
        d = fma(number, rest, d)
    return total(a), total(b), total(c), total(d)


def by32(
    x, at, x_step, codes, of, step, then, depth, left, bits, c, to, c_step,
    a0, b0, c0, d0, a1, b1, c1, d1,
):  # fmt: skip
    """Multiply four rows of `x` by `depth` rows of 32 codes; the sums start as given.

    What stands `then` bytes on is asked for meanwhile: streams this short end before hardware
    fetches ahead of them.
    """
    for k in range(depth):
        lanes = load_bytes(codes, of + k * step)
        prefetch(codes, of + k * step + then)
        u, v = fraction(lanes, left, bits), fraction(lanes, left - bits, bits)
        y = spread(x, at + k)
        a0, a1 = fma(y, u, a0), fma(y, v, a1)
        y = spread(x, at + x_step + k)
        b0, b1 = fma(y, u, b0), fma(y, v, b1)
        y = spread(x, at + 2 * x_step + k)
        c0, c1 = fma(y, u, c0), fma(y, v, c1)
        y = spread(x, at + 3 * x_step + k)
        d0, d1 = fma(y, u, d0), fma(y, v, d1)
    store(c, to, a0)
    store(c, to + LANES, a1)
    store(c, to + c_step, b0)
    store(c, to + c_step + LANES, b1)
    store(c, to + 2 * c_step, c0)
    store(c, to + 2 * c_step + LANES, c1)
    store(c, to + 3 * c_step, d0)
    store(c, to + 3 * c_step + LANES, d1)
