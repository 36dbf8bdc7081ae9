"""What a batch of decodes' attention takes, by its sequences, keys and spread, filled as asked.

A run of one kind of requests asks for a small corner of the table: its batches' mean keys lie
within an octave or two, and so do their spreads. Their sizes vary more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import SOURCES
from tierlab.simulator.serving.axis import below

Floats = NDArray[np.float64]
Predict = Callable[[Floats, Floats, Floats], Floats]
GROUP = 64
"""Batch sizes that are predicted in one call, one beside the other."""
PER_PART = 8
"""Nodes of keys that are: an octave, of which the first ends at node `PER_PART` - 1, so that
1,024 begins one."""
TOGETHER = 2
"""Spreads that are: kernel models start from the even batches of the same keys."""


class DecodeTable:
    """The table of one replica's decodes.

    Parameters
    ----------
    sequences
        Most of a batch.
    spreads, keys
        Nodes: how far the longest context exceeds the mean, over the mean; the mean.
    predict
        (sequences, keys, spread) float64[n] -> float64[len(SOURCES), n], s.

    Attributes
    ----------
    seconds
        float64[sequences + 1, spreads, len(SOURCES), keys].
    known
        uint8[groups, pairs of spreads, parts], which are filled in, with the upper end of their
        keys.
    """

    def __init__(self, sequences: int, spreads: Floats, keys: Floats, predict: Predict) -> None:
        self._spreads, self._keys, self._predict = spreads, keys, predict
        pairs, parts = (len(spreads) - 1) // TOGETHER + 1, (len(keys) - 1) // PER_PART + 1
        self.known = np.zeros((sequences // GROUP + 1, pairs, parts), np.uint8)
        self.seconds = np.empty((sequences + 1, len(spreads), len(SOURCES), len(keys)))

    def learn(self, place: int) -> None:
        """Fill in one place of `known`, as `decodes_lack` counts them."""
        group, pair, part = (int(i) for i in np.unravel_index(place, self.known.shape))
        mine, end = slice(group * GROUP, (group + 1) * GROUP), (part + 1) * PER_PART
        nodes = slice(max(end - PER_PART - 1, 0), end)
        spreads = slice(pair * TOGETHER, (pair + 1) * TOGETHER)
        into = self.seconds[mine, spreads, :, nodes]
        batch = group * GROUP + np.arange(float(len(into)))
        grid = np.meshgrid(batch, self._keys[nodes], self._spreads[spreads], indexing="ij")
        found = self._predict(*(x.ravel() for x in grid))
        into[:] = found.reshape(len(SOURCES), *grid[0].shape).transpose(1, 3, 0, 2)
        self.known[group, pair, part] = 1

    def need(self, batch: int, spread: int, first: float, last: float) -> Floats:
        """Return a batch's `seconds`, float64[1, spreads, sources, keys], filled in for a range."""
        while (place := decodes_lack(self.known, self._keys, batch, spread, first, last)) >= 0:
            self.learn(place)
        return self.seconds[batch : batch + 1]


def decodes_lack(known: Any, keys: Any, batch: int, spread: int, first: float, last: float) -> int:
    """Return the first place to learn for a batch from one mean of keys to another, or -1.

    A plain function over arrays, compiled into the loop of a replica.
    """
    group, pair = batch // GROUP, spread // TOGETHER
    end = (below(keys, last) + 1) // PER_PART + 1
    for part in range((below(keys, first) + 1) // PER_PART, end):
        if not known[group, pair, part]:
            place: int = (group * known.shape[1] + pair) * known.shape[2] + part
            return place
    return -1
