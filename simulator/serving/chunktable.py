"""What a prefill chunk's attention takes, by its tokens and the keys before it, filled as asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import SOURCES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PER_PART = 8
"""Nodes of tokens that are predicted in one call: an octave."""


class ChunkTable:
    """The table of one kind of chunk.

    Parameters
    ----------
    queries, keys
        Nodes: tokens of a chunk, from 0; keys before it.
    predict
        (q_len, keys before) int64[n] -> float64[len(SOURCES), n], s.

    Attributes
    ----------
    seconds
        float64[len(SOURCES), queries, keys].
    known
        uint8[parts], which parts of the tokens are filled in, with their upper end.
    """

    def __init__(
        self, queries: Floats, keys: Floats, predict: Callable[[Ints, Ints], Floats]
    ) -> None:
        self._queries, self._keys, self._predict = queries, keys, predict
        self.seconds = np.zeros((len(SOURCES), len(queries), len(keys)))
        self.known = np.zeros((len(queries) - 2) // PER_PART + 1, np.uint8)
        self._met: set[int] = set()

    def learn(self, part: int) -> None:
        """Fill in one part."""
        first = max(part * PER_PART, 1)
        last = min((part + 1) * PER_PART + 1, len(self._queries))
        grid = np.meshgrid(self._queries[first:last], self._keys, indexing="ij")
        q_len, past = (x.ravel().astype(np.int64) for x in grid)
        shape = len(SOURCES), last - first, len(self._keys)
        self.seconds[:, first:last] = self._predict(q_len, past).reshape(shape)
        self.known[part] = 1

    def need(self, q_len: Ints) -> Floats:
        """Return `seconds`, filled in for chunks of so many tokens."""
        for tokens in q_len.tolist():
            if tokens not in self._met:
                self._meet(tokens)
        return self.seconds

    def _meet(self, tokens: int) -> None:
        at = int(np.searchsorted(self._queries, tokens, "right")) - 1
        part = min(max(at, 0), len(self._queries) - 2) // PER_PART
        if not self.known[part]:
            self.learn(part)
        self._met.add(tokens)
