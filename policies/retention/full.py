"""Every token stays: exact attention, the baseline of every paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tierlab.policies.protocol import Declares, KvShape, Statistics, Tokens
from tierlab.policies.retention.windows import within_windows


@dataclass(frozen=True)
class Full:
    """Keep all tokens (Vaswani et al. 2017, arXiv 1706.03762); windowed layers their window."""

    axis: ClassVar[str] = "retention"
    name: ClassVar[str] = "full"
    paper: ClassVar[str] = "arXiv 1706.03762"
    declares: ClassVar[Declares] = Declares()

    def footprint(self, shape: KvShape) -> Tokens:
        """Return the tokens that stay; a windowed layer never attends beyond its window."""
        return within_windows(shape, shape.tokens)

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the attention mass that stays: all of it, whatever the content."""
        return Statistics(1.0, 1.0, 1.0, "exact: nothing is dropped")

    def decide(self, keys: NDArray[np.floating], scores: NDArray[np.floating] | None) -> Tokens:
        """Return every position, int64[heads, tokens]."""
        heads, tokens = keys.shape[:2]
        return np.broadcast_to(np.arange(tokens, dtype=np.int64), (heads, tokens)).copy()
