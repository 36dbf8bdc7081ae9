"""What a windowed layer needs: a query never attends beyond its window."""

from __future__ import annotations

import numpy as np

from tierlab.policies.protocol import KvShape, Tokens


def within_windows(shape: KvShape, tokens: Tokens) -> Tokens:
    """Return `tokens`, int64[groups, n], cut to each group's window."""
    windows = np.array([g.window for g in shape.groups], np.int64)[:, None]
    return np.where(windows > 0, np.minimum(tokens, windows), tokens)
