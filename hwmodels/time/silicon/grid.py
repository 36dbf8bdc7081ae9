"""The tiles of a prefill: how many, how long, how they are shared out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats


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
