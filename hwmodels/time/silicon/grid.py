"""The tiles of a prefill: how many, how long, how they are shared out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats, reach
from tierlab.kernels.ops.table import OpTable


class Grid(NamedTuple):
    """What a call is cut into, all float64[n].

    Attributes
    ----------
    tiles
        Of the call.
    longest, total
        Blocks of keys of the longest tile, and of all.
    splits
        CTAs that share a tile.
    area
        Rows of a tile times keys of a block.
    """

    tiles: Floats
    longest: Floats
    total: Floats
    splits: Floats
    area: Floats


def from_first(tiles: Floats, span: Floats, past: Floats, end: Floats, wide: Floats) -> Floats:
    """Return the sum of ceil((min(i span, end) + past) / wide) for i = 1 .. tiles, float64[n].

    A block is counted once for each tile that reaches beyond its first key. Tiles whose ends fall
    anywhere in a block reach it half of their span later than the key's place says in the mean.
    """
    whole = span == np.floor(span)
    common = np.gcd(np.maximum(span, 1.0).astype(np.int64), wide.astype(np.int64))
    step = np.where(whole, common, np.minimum(1.0, span))
    last = np.ceil((np.minimum(tiles * span, end) + past) / wide) - 1.0
    first = np.minimum(np.floor(past / wide), last)
    part = last - first
    before = wide * (last * (last + 1.0) - first * (first + 1.0)) / 2.0 - past * part
    missed = before / span - part * (1.0 - step / span) / 2.0
    return np.where(tiles > 0, tiles * (last + 1.0) - missed, 0.0)


def whole_blocks(ops: OpTable, high: Floats, keys: Floats | float) -> Grid:
    """Return a call's tiles of one head: `high` queries, blocks that begin at multiples of `keys`.

    A tile starts with the block in which the window of its first query begins.
    """
    queries, past = ops["q_len"], ops["kv_len"] - ops["q_len"]
    per_head, heads = np.ceil(queries / high), ops["batch"] * ops["heads"]
    last = np.ceil((np.minimum(high, queries) + past) / keys)
    rising = per_head * last + per_head * (per_head - 1.0) * (high / keys / 2.0)
    over = np.floor((per_head * high - queries) / keys) * (per_head > 1)
    skipped = _skipped(ops, per_head, past, high, keys)
    first = np.floor(np.maximum(past + (per_head - 1.0) * high - ops["window"] + 1.0, 0.0) / keys)
    longest = np.ceil(ops["kv_len"] / keys) - np.where(reach(ops)[1], first, 0.0)
    longest = np.maximum(longest, np.where(per_head > 1, _whole(ops, high, keys), 1.0))
    ones = np.ones(len(ops))
    return Grid(heads * per_head, longest, heads * (rising - over - skipped), ones, high * keys)


def _whole(ops: OpTable, high: Floats, keys: Floats | float) -> Floats:
    """Return the blocks of a tile in the middle of a sequence behind a window, else 1."""
    blocks = np.ceil((high + ops["window"] - 1.0) / keys)
    return np.where(reach(ops)[1], np.minimum(blocks, np.ceil(ops["kv_len"] / keys)), 1.0)


def _skipped(
    ops: OpTable, tiles: Floats, past: Floats, high: Floats, keys: Floats | float
) -> Floats:
    """Return the blocks of a head that its window leaves out, float64[n]."""
    binds = reach(ops)[1]
    before = np.where(binds, past - ops["window"] + 1.0, -np.inf)
    start = np.clip(np.ceil(-before / high), 0.0, tiles)
    many = tiles - start
    left = np.where(many > 0, before + start * high, 0.0)
    found: Floats = many * np.floor(left / keys) + many * (many - 1.0) * (high / keys / 2.0)
    return np.where(binds & (many > 0), found, 0.0)
