"""Where a number stands among a few known ones: a perfect hash, for columns of a million rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: spreads what is alike (Knuth, vol. 3, 6.4)."""


class Places:
    """Places of known numbers.

    Parameters
    ----------
    known
        Whole numbers from 0, each once.
    """

    def __init__(self, known: Sequence[int]) -> None:
        keys = np.array(known, np.uint64)
        bits = (2 * len(known)).bit_length()
        while True:
            self._shift = np.uint64(64 - bits)
            slots = self._slots(keys)
            if len(np.unique(slots)) == len(keys):
                break
            bits += 1
        self._keys, self._places = np.full((2, 1 << bits), -1)
        self._keys[slots], self._places[slots] = keys, np.arange(len(keys))

    def _slots(self, keys: NDArray[np.uint64]) -> Ints:
        return (np.multiply(keys, _GOLDEN) >> self._shift).astype(np.int64)

    def __call__(self, asked: Ints) -> Ints:
        """Return the place of each number among the known ones, -1 where it is none, int64[n]."""
        slots = self._slots(asked.astype(np.uint64))
        found: Ints = np.where(self._keys[slots] == asked, self._places[slots], -1)
        return found
