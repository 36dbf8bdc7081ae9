"""The ledger: a cause for every token, and the laws that they obey.

The engine enters what it does, step by step; at the end the entries must agree with what the
requests themselves say. A law that does not hold is a defect in tierlab and stops the run. Bytes
on links have causes in a ledger of their own (`tierlab.simulator.network.ledger`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.policies.protocol import TIERS


@dataclass(frozen=True)
class Census:
    """What the requests say at the end of a run: counts of requests, and tokens.

    Attributes
    ----------
    input_tokens
        Prompt tokens that became KV at least once, computed or reused.
    recomputed, output
        Tokens computed again after a preemption, and emitted.
    """

    arrived: int
    finished: int
    rejected: int
    in_flight: int
    input_tokens: int
    recomputed: int
    output: int


def _add(total: dict[Any, Any], more: dict[Any, Any]) -> None:
    for key, value in more.items():
        total[key] += value


@dataclass
class Ledger:
    """Entries of one run: tokens by cause, occupancy by tier."""

    computed: int = 0
    recomputed: int = 0
    output: int = 0
    reused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TIERS, 0))
    peak_bytes: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TIERS, 0.0))
    now_s: float = 0.0

    def tick(self, now_s: float) -> None:
        """Move the clock: time never runs backwards."""
        if now_s < self.now_s:
            raise BrokenLaw(f"time ran backwards, from {self.now_s} to {now_s} s")
        self.now_s = now_s

    def occupy(self, tier: str, nbytes: float, capacity_bytes: float) -> None:
        """Enter a tier's occupancy: it never exceeds the capacity."""
        if nbytes > capacity_bytes * (1 + 1e-12) or nbytes < -1e-6 * capacity_bytes:
            raise BrokenLaw(f"{tier} holds {nbytes} B of {capacity_bytes} B at {self.now_s} s")
        self.peak_bytes[tier] = max(self.peak_bytes[tier], nbytes)

    @staticmethod
    def sum(ledgers: Iterable[Ledger]) -> Ledger:
        """Return the entries of several replicas together; their peaks add, whenever they were."""
        total = Ledger()
        for each in ledgers:
            total.computed += each.computed
            total.recomputed += each.recomputed
            total.output += each.output
            total.now_s = max(total.now_s, each.now_s)
            for ours, theirs in (
                (total.reused, each.reused),
                (total.peak_bytes, each.peak_bytes),
            ):
                _add(ours, theirs)
        return total

    def close(self, census: Census) -> None:
        """Check the laws that hold at the end of a run."""
        pairs = {
            "prompt tokens": (census.input_tokens, self.computed + sum(self.reused.values())),
            "recomputed tokens": (census.recomputed, self.recomputed),
            "output tokens": (census.output, self.output),
            "requests": (census.arrived, census.finished + census.rejected + census.in_flight),
        }
        for what, (asked, entered) in pairs.items():
            if asked != entered:
                raise BrokenLaw(f"{what}: the requests say {asked}, the ledger {entered}")
