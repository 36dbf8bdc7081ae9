"""Where a number stands among a few known ones: a perfect hash, for columns of a million rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: spreads what is alike (Knuth, vol. 3, 6.4)."""
_SHIFT = np.uint64(44)


class Places:
    """Places of known numbers.

    Parameters
    ----------
    known
        Whole numbers from 0, each once.
    """

    def __init__(self, known: Sequence[int]) -> None:
        keys = np.array(known, np.uint64)
        size = 1 << max(4, (2 * len(known)).bit_length())
        for odd in count(_GOLDEN, 2):
            size = min(size << ((odd - _GOLDEN) % 64 == 62), 1 << 20)
            self._mask, self._factor = np.uint64(size - 1), np.uint64(odd % (1 << 64))
            slots = self._slots(keys)
            if len(np.unique(slots)) == len(keys):
                break
        self._keys, self._places = np.full(size, -1), np.full(size, -1)
        self._keys[slots], self._places[slots] = keys, np.arange(len(keys))

    def _slots(self, keys: NDArray[np.uint64]) -> Ints:
        mixed = np.multiply(keys, self._factor)
        return ((mixed >> _SHIFT) & self._mask).astype(np.int64)

    def __call__(self, asked: Ints) -> Ints:
        """Return the place of each number among the known ones, -1 where it is none, int64[n]."""
        slots = self._slots(asked.astype(np.uint64))
        found: Ints = np.where(self._keys[slots] == asked, self._places[slots], -1)
        return found
