"""The tiles of a prefill: how many, how long, how they are shared out."""

from __future__ import annotations

from typing import NamedTuple

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
