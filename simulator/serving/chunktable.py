"""What a prefill chunk's attention takes, by its tokens and the keys before it, filled as asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import SOURCES
from tierlab.simulator.serving.axis import below

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PER_PART = 8
"""Nodes of tokens that are predicted in one call: an octave."""
KEYS_PER_PART = 32
"""Nodes of keys before them that are: four octaves."""

MOST_MET = 100_000
"""Chunks that are known to need no look at `known`."""


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
    once
        float64[len(SOURCES)], what of them is the kernels' own: the chunk of none. Written with
        the first part.
    known
        uint8[parts, parts], which of the tokens and the keys are filled in, with their upper ends.
    """

    def __init__(
        self, queries: Floats, keys: Floats, predict: Callable[[Ints, Ints], Floats]
    ) -> None:
        self._queries, self._keys, self._predict = queries, keys, predict
        self.seconds = np.zeros((len(SOURCES), len(queries), len(keys)))
        parts = (len(queries) - 1) // PER_PART + 1, (len(keys) - 1) // KEYS_PER_PART + 1
        self.known = np.zeros(parts, np.uint8)
        self.once = np.zeros(len(SOURCES))
        self._met: set[tuple[int, int]] = set()

    def learn(self, place: int) -> None:
        """Fill in one place of `known`, as `chunk_lacks` counts them.

        Where another with these tokens was asked for before, all with them are filled in.
        """
        part, key_part = (int(i) for i in np.unravel_index(place, self.known.shape))
        first, last = key_part, key_part + 1
        if self.known[part].any():
            first, last = 0, self.known.shape[1]
        rows = slice(max(part * PER_PART - 1, 1), (part + 1) * PER_PART)
        columns = slice(max(first * KEYS_PER_PART - 1, 0), last * KEYS_PER_PART)
        into = self.seconds[:, rows, columns]
        grid = np.meshgrid(self._queries[rows], self._keys[columns], indexing="ij")
        q_len, past = (x.ravel().astype(np.int64) for x in grid)
        found = self._predict(q_len, past) if self.known.any() else self._with_once(q_len, past)
        into[:] = found.reshape(into.shape)
        self.known[part, first:last] = 1

    def _with_once(self, q_len: Ints, past: Ints) -> Floats:
        """Predict chunks, and beside them those of one and of two tokens, which tell `once`."""
        found = self._predict(np.append(q_len, (1, 2)), np.append(past, (0, 0)))
        one, two = found[:, -2:].T
        self.once[:] = np.maximum(2.0 * one - two, 0.0)
        return found[:, :-2]

    def need(self, q_len: Ints, past: Ints) -> Floats:
        """Return `seconds`, filled in for chunks of so many tokens after so many keys."""
        for one in zip(q_len.tolist(), past.tolist(), strict=True):
            if one not in self._met:
                self._meet(*one)
        return self.seconds

    def _meet(self, tokens: int, past: int) -> None:
        place = chunk_lacks(self.known, self._queries, self._keys, tokens, past)
        if place >= 0:
            self.learn(place)
        if len(self._met) == MOST_MET:
            self._met.clear()
        self._met.add((tokens, past))


def chunk_lacks(known: Any, queries: Any, keys: Any, tokens: int, past: int) -> int:
    """Return the place to learn for a chunk after some keys, or -1.

    A plain function over arrays, compiled into the loop of a replica.
    """
    part = (below(queries, tokens) + 1) // PER_PART
    key_part = (below(keys, past) + 1) // KEYS_PER_PART
    place: int = part * known.shape[1] + key_part
    return -1 if known[part, key_part] else place
