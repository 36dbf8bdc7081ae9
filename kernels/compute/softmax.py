"""The online softmax that every attention loop shares.

Weights are taken against the largest score so far; when a larger one comes, what was summed is
scaled down (Milakov and Gimelshein, arXiv 1805.02867).
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import numpy as np

from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.simd import add, exp, larger, load, mul, splat, store, top, total

LOW = np.float32(-3e38)
"""A score that no weight follows from; finite, so that differences of two are numbers."""


def soften(scores, s, width, count, out, o, peak, sums, row, dim):
    """Turn one row of scores into weights, and rescale what its sums hold so far.

    ``scores[s : s + width]`` becomes weights, 0 from `count` on; `out` holds the weighted values
    of the row at `o`, `peak[row]` its largest score, `sums[row]` its weights.
    """
    for token in range(count, width):
        scores[s + token] = LOW
    best = load(scores, s)
    for token in range(LANES, width, LANES):
        best = larger(best, load(scores, s + token))
    old = peak[row]
    new = max(old, top(best))
    weights = splat(np.float32(0.0))
    for token in range(0, width, LANES):
        weight = exp(add(load(scores, s + token), splat(np.float32(-new))))
        store(scores, s + token, weight)
        weights = add(weights, weight)
    if old < new:
        shrink = exp(splat(np.float32(old - new)))
        sums[row] = sums[row] * top(shrink)
        peak[row] = new
        for k in range(0, dim, LANES):
            store(out, o + k, mul(load(out, o + k), shrink))
    sums[row] = sums[row] + total(weights)
