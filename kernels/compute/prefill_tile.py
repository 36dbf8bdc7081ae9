"""A tile of prefill attention on a processor: rows of queries against 64 keys and values.

Keys and values are packed so that slices of 64 channels, 16 KiB, stay in the first cache while all
rows meet them.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import numpy as np

from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.paged import TILE
from tierlab.kernels.compute.simd import load, mul, splat, store
from tierlab.kernels.compute.softmax import LOW
from tierlab.kernels.compute.tile import WIDE, clear, product


def begin(q, query, heads, group, rows, dim, scale, room, summed, peak, sums):
    """Lay out a tile's queries, rows of zeros up to a whole four; nothing is seen yet."""
    whole = (rows + TILE - 1) // TILE * TILE
    clear(room, rows * dim, (whole - rows) * dim)
    clear(room, summed, whole * dim)
    clear(sums, 0, whole * LANES)
    for row in range(whole):
        peak[row] = LOW
    for row in range(rows):
        at = (query + row // group * heads + row % group) * dim
        for i in range(0, dim, LANES):
            store(room, row * dim + i, mul(splat(scale), load(q, at + i)))


def score(room, k, s, low, rows, group, sees, dim):
    """Scores of rows from `low` on; a slice of the keys stays in the first cache for all rows."""
    for row in range(low, rows, TILE):
        clear(room, s + row * WIDE, TILE * WIDE)
    for i in range(0, dim, WIDE):
        for row in range(low, rows, TILE):
            shown = min(WIDE, sees + (row + TILE - 1) // group)
            product(
                room, row * dim + i, dim, room, k + i * WIDE, WIDE, min(WIDE, dim - i), room,
                s + row * WIDE, WIDE, (shown + LANES - 1) // LANES * LANES,
            )  # fmt: skip


def weigh(room, s, v, summed, low, rows, group, sees, count, dim):
    """Add weighted values to rows from `low` on, a slice of the values at a time."""
    for i in range(0, dim, WIDE):
        for row in range(low, rows, TILE):
            product(
                room, s + row * WIDE, WIDE, room, v + i * WIDE, WIDE,
                min(count, sees + (row + TILE - 1) // group), room, summed + row * dim + i, dim,
                min(WIDE, dim - i),
            )  # fmt: skip


def pack(keys, values, table, token, count, head, sizes, room, k, v):
    """Copy 64 tokens of one KV head side by side: keys, zeros beyond; values by 64 channels."""
    kv_heads, dim, block = sizes[0] // sizes[1], sizes[2], sizes[3]
    nothing = splat(np.float32(0.0))
    for t in range(0, WIDE, LANES):
        here = token + t
        cache = (table[min(here, token + count - 1) // block] * kv_heads + head) * dim * block
        for i in range(dim):
            key = load(keys, cache + i * block + here % block) if t < count else nothing
            store(room, k + i * WIDE + t, key)
        for r in range(min(LANES, count - t)):
            row = cache + (here % block + r) * dim
            for i in range(0, dim, LANES):
                at = (i // WIDE * WIDE + t + r) * WIDE + i % WIDE
                store(room, v + at, load(values, row + i))
