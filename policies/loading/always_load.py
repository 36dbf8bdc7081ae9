"""Load whatever is stored, as vLLM's, SGLang's and LMCache's connectors do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.protocol import Declares, LoadView, Statistics, Tokens


@dataclass(frozen=True)
class AlwaysLoad:
    """Load every block that some tier holds."""

    axis: ClassVar[str] = "loading"
    name: ClassVar[str] = "always_load"
    paper: ClassVar[str] = "vLLM OffloadingConnector (docs.vllm.ai, v0.26.0): no block is skipped"
    declares: ClassVar[Declares] = Declares()

    def footprint(self, stored: Tokens) -> Tokens:
        """Return the most tokens loaded of so many stored: all."""
        return stored

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the share of stored tokens that is loaded: all."""
        return Statistics(1.0, 1.0, 1.0, "exact: all that is stored is loaded")

    def decide(self, view: LoadView) -> int:
        """Return the last choice."""
        return len(view.tokens) - 1
