"""What tiers below HBM hold, and the tokens that they gave, as counters."""

from __future__ import annotations

from collections.abc import Iterator

from tierlab.simulator.serving.tiering import Tiering
from tierlab.simulator.tiers.tier import Tier
from tierlab.simulator.timeline.events import Counter, ns


class Holdings:
    """Counters of tiers, each in its replica's process; those of a shared tier in their own.

    Parameters
    ----------
    shared_pid
        Process of the shared tiers.
    """

    def __init__(self, shared_pid: int, window_ns: tuple[int, float]) -> None:
        self._shared_pid, self._window_ns = shared_pid, window_ns
        self._counters: dict[int, tuple[Tier, Counter, Counter]] = {}
        self.any_shared = False

    def events(self, pid: int, tiering: Tiering) -> Iterator[str]:
        """Yield what changed in the tiers of a replica by now."""
        now_ns = ns(float(tiering.env.now))
        for tier in tiering.tiers.tiers:
            _, held, hit = self._of(pid, tier)
            yield from held.set(now_ns, {"bytes": len(tier.store) * tier.spec.block_bytes})
            yield from hit.set(now_ns, {"tokens": tier.counts.hit_tokens})

    def close(self, end_ns: int) -> Iterator[str]:
        """Yield what is left at the end of the run."""
        for _, held, hit in self._counters.values():
            yield from held.begin(end_ns)
            yield from hit.begin(end_ns)

    def _of(self, pid: int, tier: Tier) -> tuple[Tier, Counter, Counter]:
        if id(tier) not in self._counters:
            self.any_shared = self.any_shared or tier.spec.shared
            home = self._shared_pid if tier.spec.shared else pid
            held = Counter(home, f"{tier.spec.name} holds", self._window_ns)
            hit = Counter(home, f"{tier.spec.name} hits so far", self._window_ns)
            self._counters[id(tier)] = (tier, held, hit)
        return self._counters[id(tier)]
