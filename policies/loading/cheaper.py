"""Load as many leading blocks as make the request's first token come soonest, by estimate.

The estimate adds loading and computing where one waits for the other, and takes the longer where
they overlap. Equal estimates load less: the link and the pins are free for others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tierlab.policies.protocol import Declares, LoadView, Statistics, Tokens


@dataclass(frozen=True)
class Cheaper:
    """Load the leading blocks that cost less to load than to compute.

    Attributes
    ----------
    margin
        A load must promise to save more than this share of computing all, in [0, 1).
    """

    margin: float = 0.0

    axis: ClassVar[str] = "loading"
    name: ClassVar[str] = "cheaper"
    paper: ClassVar[str] = "Jin et al., Compute or load KV cache? Why not both?, arXiv 2410.03065"
    declares: ClassVar[Declares] = Declares()

    def __post_init__(self) -> None:
        """Check the range."""
        if isinstance(self.margin, bool) or not 0 <= self.margin < 1:
            raise ValueError(f"margin = {self.margin} is not in [0, 1)")

    def footprint(self, stored: Tokens) -> Tokens:
        """Return the most tokens loaded of so many stored: all."""
        return stored

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the share of stored tokens that is loaded: it depends on both costs."""
        return Statistics(0.5, 0.0, 1.0, "assumption: nothing is known before costs are")

    def decide(self, view: LoadView) -> int:
        """Return the choice with the least estimate."""
        total = view.total_s()
        best = int(np.argmin(total))
        return best if total[best] < total[0] * (1 - self.margin) else 0
