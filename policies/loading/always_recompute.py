"""Load nothing: what HBM lacks is computed; the tiers are written and never read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.protocol import Declares, LoadView, Statistics, Tokens


@dataclass(frozen=True)
class AlwaysRecompute:
    """Compute every block that HBM lacks; the null policy that loading is measured against."""

    axis: ClassVar[str] = "loading"
    name: ClassVar[str] = "always_recompute"
    paper: ClassVar[str] = "none: the baseline"
    declares: ClassVar[Declares] = Declares()

    def footprint(self, stored: Tokens) -> Tokens:
        """Return the most tokens loaded of so many stored: none."""
        return stored * 0

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the share of stored tokens that is loaded: none."""
        return Statistics(0.0, 0.0, 0.0, "exact: nothing is loaded")

    def decide(self, view: LoadView) -> int:
        """Return the first choice."""
        return 0
