"""What depends on the tokens of a step alone, filled in as asked.

The time of a product steps where rows begin another tile, and at some formats differs for rows in
no multiple of 8. Between two such steps it is nearly straight: of every 32 counts four are
predicted, two of either kind (`benchmarks/clock_error.py` says what that loses). Of small counts,
and of those that are padded to captured sizes, all are.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import SOURCES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PART = 256
"""Token counts that are filled in together: 1 to 256, 257 to 512, ..."""
ONE_BY_ONE = 8
"""Parts that are filled in as they are asked for. Prompts of one length ask for few; who asks for
more has prompts of many lengths, and all that are left are filled in at once."""
AT_ONCE = 8
"""Parts of one call, at most: with more, columns leave the processor's cache."""
_LEAST_EXACT = 512
_BLOCK = 32
_STEP = 8
_NODES = np.array([1, _BLOCK - 1, _STEP, _BLOCK])
"""Of the counts 1 to 32 of a block, those that are predicted."""


def _shares() -> Floats:
    """Return what of each node goes into each count of a block, float64[nodes, counts]."""
    counts = np.arange(1, _BLOCK + 1)
    shares = np.zeros((len(_NODES), _BLOCK))
    for low, mine in ((0, counts % _STEP > 0), (2, counts % _STEP == 0)):
        way = (counts[mine] - _NODES[low]) / (_NODES[low + 1] - _NODES[low])
        shares[low, mine], shares[low + 1, mine] = 1.0 - way, way
    return shares


_SHARES = _shares()


class DenseTable:
    """The table of steps with prefill.

    Parameters
    ----------
    budget
        Most tokens of a step.
    exact
        Counts up to which each is predicted by itself, up to a multiple of 512.
    predict
        Token counts int64[n] -> float64[len(SOURCES), n], s.

    Attributes
    ----------
    seconds
        float64[len(SOURCES), tokens].
    known
        uint8[parts], which are filled in.
    """

    def __init__(self, budget: int, exact: int, predict: Callable[[Ints], Floats]) -> None:
        self._predict, self._asked = predict, 0
        self._exact = max(ceil(exact / _LEAST_EXACT), 1) * _LEAST_EXACT // PART
        self.known = np.zeros(part_of(budget) + 1, np.uint8)
        self.seconds = np.zeros((len(SOURCES), len(self.known) * PART + 1))

    def learn(self, part: int) -> None:
        """Fill in one part, and after `ONE_BY_ONE` all."""
        self._asked += 1
        parts = np.array([part])
        if self._asked > ONE_BY_ONE:
            parts = np.flatnonzero(self.known == 0)
        for start in range(0, len(parts), AT_ONCE):
            some = parts[start : start + AT_ONCE]
            self._fill(some[some < self._exact], self._all)
            self._fill(some[some >= self._exact], self._between)

    def _fill(self, parts: Ints, predict: Callable[[Ints], Floats]) -> None:
        """Write what `predict` says of the counts before the first of each part, and its own."""
        if not len(parts):
            return
        found = predict(parts * PART).reshape(len(SOURCES), len(parts), PART)
        for i, part in enumerate(parts.tolist()):
            self.seconds[:, part * PART + 1 : (part + 1) * PART + 1] = found[:, i]
        self.known[parts] = 1

    def _all(self, before: Ints) -> Floats:
        return self._predict((before[:, None] + 1 + np.arange(PART)).ravel())

    def _between(self, before: Ints) -> Floats:
        blocks = (before[:, None] + np.arange(0, PART, _BLOCK)).ravel()
        found = self._predict((blocks[:, None] + _NODES).ravel())
        nodes = found.reshape(len(SOURCES), len(blocks), len(_NODES))
        between: Floats = (nodes[..., None] * _SHARES).sum(axis=2)
        return between

    def at(self, tokens: int) -> Floats:
        """Return the seconds of a step of so many tokens, float64[len(SOURCES)]."""
        if not self.known[part_of(tokens)]:
            self.learn(part_of(tokens))
        return self.seconds[:, tokens]


def part_of(tokens: int) -> int:
    """Return where a count of tokens, at least one, is learnt."""
    return (tokens - 1) // PART
