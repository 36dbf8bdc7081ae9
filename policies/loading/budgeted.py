"""Load at most so much for one request, and nothing over a link with a long queue.

vLLM's offloading connector has the first limit, ``max_load_tokens`` a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tierlab.policies.protocol import Declares, LoadView, Statistics, Tokens


@dataclass(frozen=True)
class Budgeted:
    """Load the leading blocks that fit a budget of tokens, bytes and time in the queue.

    Attributes
    ----------
    tokens, nbytes
        The most that one request loads; infinite where absent.
    queue_s
        The longest queue ahead of a load that still begins.
    """

    tokens: float = float("inf")
    nbytes: float = float("inf")
    queue_s: float = float("inf")

    axis: ClassVar[str] = "loading"
    name: ClassVar[str] = "budgeted"
    paper: ClassVar[str] = "vLLM OffloadingConnector, max_load_tokens (docs.vllm.ai)"
    declares: ClassVar[Declares] = Declares()

    def __post_init__(self) -> None:
        """Check the ranges."""
        for key in ("tokens", "nbytes", "queue_s"):
            value = getattr(self, key)
            if isinstance(value, bool) or not value >= 0:
                raise ValueError(f"{key} = {value} is not 0 or more")

    def footprint(self, stored: Tokens) -> Tokens:
        """Return the most tokens loaded of so many stored."""
        return np.minimum(stored, self.tokens).astype(np.int64)

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the share of stored tokens that is loaded: it depends on the prompts."""
        return Statistics(0.5, 0.0, 1.0, "assumption: nothing is known before prompts are")

    def decide(self, view: LoadView) -> int:
        """Return the last choice within the budget."""
        if view.queue_s > self.queue_s:
            return 0
        fits = (view.tokens <= self.tokens) & (view.nbytes <= self.nbytes)
        return int(np.flatnonzero(fits)[-1])
