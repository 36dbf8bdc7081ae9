"""Choosing tokens of each head by a score, with the most recent ones beside them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.policies.protocol import Tokens


def best_and_recent(scores: NDArray[np.floating], best: int, recent: int) -> Tokens:
    """Return the positions that stay, int64[heads, kept], ascending.

    Parameters
    ----------
    scores
        [heads, tokens]; of equal scores the earlier token stays.
    best, recent
        How many of the older tokens stay by score, and how many of the last in any case.
    """
    heads, tokens = scores.shape
    older = max(tokens - recent, 0)
    order = np.argsort(-scores[:, :older], axis=1, kind="stable")[:, :best]
    last = np.broadcast_to(np.arange(older, tokens), (heads, tokens - older))
    return np.concatenate([np.sort(order, axis=1), last], axis=1).astype(np.int64)
