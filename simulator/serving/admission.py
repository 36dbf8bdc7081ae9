"""Which requests a server refuses at the door, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tierlab.simulator.serving.kvcache import KvCache
from tierlab.simulator.serving.requests import REASONS, REJECTED, Requests


@dataclass(frozen=True, eq=False)
class Admission:
    """Refuse what could never finish.

    Attributes
    ----------
    caches
        The replicas' KV caches: a request must fit in one of them.
    max_model_len
        Longest prompt plus output, in tokens.
    """

    requests: Requests
    caches: Sequence[KvCache]
    max_model_len: int

    def accepts(self, row: int) -> bool:
        """Return whether the request may queue; note the reason where it may not."""
        total = int(self.requests.input_tokens[row] + self.requests.output_tokens[row])
        if total > self.max_model_len:
            return self.reject(row, "context")
        if not any(self._fits(cache, row, total) for cache in self.caches):
            return self.reject(row, "kv_capacity")
        return True

    @staticmethod
    def _fits(cache: KvCache, row: int, total: int) -> bool:
        return cache.blocks_for(total) <= cache.size and cache.has_room_below(row)

    def reject(self, row: int, reason: str) -> bool:
        """Note that a request is rejected, and why, one of `REASONS`; return False."""
        self.requests.status[row] = REJECTED
        self.requests.reason[row] = REASONS.index(reason)
        return False
