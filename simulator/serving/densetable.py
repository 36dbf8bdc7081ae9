"""What depends on the tokens of a step alone, every count of them, filled as asked.

A run of like requests asks for a few counts, a log of unlike ones for all: the more was asked for,
the more is filled in at once. A count's value does not depend on those beside it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import SOURCES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PART = 64
"""Token counts that are predicted in one call, at least."""
AHEAD = 0.25
"""Of what is filled in, how much more the next call fills in."""


class DenseTable:
    """The table of steps with prefill.

    Parameters
    ----------
    budget
        Most tokens of a step.
    predict
        Token counts int64[n] -> float64[len(SOURCES), n], s.

    Attributes
    ----------
    seconds
        float64[len(SOURCES), tokens].
    known
        uint8[parts], which are filled in.
    """

    def __init__(self, budget: int, predict: Callable[[Ints], Floats]) -> None:
        self._predict = predict
        self.known = np.zeros(budget // PART + 1, np.uint8)
        self.seconds = np.empty((len(SOURCES), len(self.known) * PART))

    def learn(self, part: int) -> None:
        """Fill in one part, and the next ones that are not known."""
        most = max(int(self.known.sum() * AHEAD), 1)
        parts = part + np.flatnonzero(self.known[part:] == 0)[:most]
        counts = (parts[:, None] * PART + np.arange(PART)).ravel()
        self.seconds[:, counts] = self._predict(counts)
        self.known[parts] = 1

    def at(self, tokens: int) -> Floats:
        """Return the seconds of a step of so many tokens, float64[len(SOURCES)]."""
        if not self.known[tokens // PART]:
            self.learn(tokens // PART)
        return self.seconds[:, tokens]
