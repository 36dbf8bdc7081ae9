"""The online softmax that every attention loop shares.

Weights are taken against a score seen so far; when one comes that is much larger, what was summed
is scaled down (Milakov and Gimelshein, arXiv 1805.02867). A score up to `SLACK` above it changes
nothing, as in FlashAttention-4: weights are then at most e^8, which floats hold as precisely as 1,
and no maximum across a vector is needed.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import numpy as np

from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.paged import TILE
from tierlab.kernels.compute.simd import (
    add,
    exceeds,
    exp,
    larger,
    load,
    mul,
    splat,
    spread,
    store,
    top,
)

LOW = np.float32(-3e38)
"""A score that no weight follows from; finite, so that differences of two are numbers."""
SLACK = np.float32(8.0)


def hide(scores, s, width, count):
    """Give no weight to what stands in one row of `width` scores from `count` on."""
    for token in range(count, width):
        scores[s + token] = LOW


def soften(scores, s, width, out, o, dim, peak, sums, row):
    """Turn four rows of scores into weights, and rescale what their sums hold so far.

    ``scores[s : s + 4 width]`` becomes weights; `out` holds the weighted values of the rows at
    `o`, `peak[row]` the score that a row's weights are taken against, ``sums[16 row:]`` its
    weights as 16 numbers to be added up.
    """
    s1, s2, s3 = s + width, s + 2 * width, s + 3 * width
    slack = splat(SLACK)
    a, b = add(spread(peak, row), slack), add(spread(peak, row + 1), slack)
    c, d = add(spread(peak, row + 2), slack), add(spread(peak, row + 3), slack)
    above = 0
    for token in range(0, width, LANES):
        above |= exceeds(load(scores, s + token), a) | exceeds(load(scores, s1 + token), b)
        above |= exceeds(load(scores, s2 + token), c) | exceeds(load(scores, s3 + token), d)
    if above != 0:
        for r in range(TILE):
            _raise(scores, s + r * width, width, out, o + r * dim, dim, peak, sums, row + r)
    lower = splat(np.float32(-1.0))
    a, b = mul(lower, spread(peak, row)), mul(lower, spread(peak, row + 1))
    c, d = mul(lower, spread(peak, row + 2)), mul(lower, spread(peak, row + 3))
    w = row * LANES
    e, f = load(sums, w), load(sums, w + LANES)
    g, h = load(sums, w + 2 * LANES), load(sums, w + 3 * LANES)
    for token in range(0, width, LANES):
        x, y = exp(add(load(scores, s + token), a)), exp(add(load(scores, s1 + token), b))
        store(scores, s + token, x)
        store(scores, s1 + token, y)
        e, f = add(e, x), add(f, y)
        x, y = exp(add(load(scores, s2 + token), c)), exp(add(load(scores, s3 + token), d))
        store(scores, s2 + token, x)
        store(scores, s3 + token, y)
        g, h = add(g, x), add(h, y)
    store(sums, w, e)
    store(sums, w + LANES, f)
    store(sums, w + 2 * LANES, g)
    store(sums, w + 3 * LANES, h)


def _raise(scores, s, width, out, o, dim, peak, sums, row):
    """Take a row's weights against its largest score so far."""
    best = load(scores, s)
    for token in range(LANES, width, LANES):
        best = larger(best, load(scores, s + token))
    old = peak[row]
    new = max(old, top(best))
    peak[row] = new
    shrink = exp(splat(np.float32(old - new)))
    store(sums, row * LANES, mul(load(sums, row * LANES), shrink))
    for k in range(0, dim, LANES):
        store(out, o + k, mul(load(out, o + k), shrink))
