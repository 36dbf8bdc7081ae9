"""How much of what was found could be loaded: a few splits, with what each would move."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.policies.protocol import LoadView
from tierlab.simulator.tiers.loads import Loads
from tierlab.simulator.tiers.moves import Found
from tierlab.simulator.tiers.store import Ints

MOST = 32
"""Splits that are weighed for one request beside the ends of its segments."""

Floats = NDArray[np.float64]


class Choices(NamedTuple):
    """Splits of a hit into what is loaded and what is computed; n of them, the first loads nothing.

    Attributes
    ----------
    blocks, tokens
        int64[n], leading engine blocks and tokens to load; ascending from 0 to all.
    nbytes, pieces
        float64[n, tiers] and int64[n, tiers], what each tier would send.
    """

    blocks: Ints
    tokens: Ints
    nbytes: Floats
    pieces: Ints

    def view(
        self, load_s: Floats, recompute_s: Floats, queue_s: float = 0.0, overlaps: bool = False
    ) -> LoadView:
        """Return what a loading policy sees, given the estimates, float64[n], of each split."""
        nbytes = self.nbytes.sum(axis=1)
        return LoadView(self.blocks, self.tokens, nbytes, load_s, recompute_s, queue_s, overlaps)


def choices(tiers: Loads, found: Found, most: int = MOST) -> Choices:
    """Return the splits of a hit: evenly spread, and the ends of its segments."""
    ends = [segment.stop - found.start for segment in found.segments]
    even = np.linspace(0, found.blocks, most + 1).round().astype(np.int64)
    blocks = np.unique(np.concatenate([even, np.array(ends, np.int64)]))
    own = np.zeros((len(blocks), len(tiers.tiers)), np.int64)
    for tier, start, stop in found.segments:
        own[:, tier] += np.clip(blocks - (start - found.start), 0, stop - start)
    specs = [tier.spec for tier in tiers.tiers]
    each = np.array([s.token_bytes / s.compression for s in specs], np.float64)
    pieces = np.array([s.pieces_per_engine_block for s in specs], np.int64)
    size = tiers.engine_tokens
    return Choices(blocks, blocks * size, own * (size * each), own * pieces)
