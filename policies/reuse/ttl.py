"""Time to live: a block goes when it was not used for some time, as in providers' prompt caches.

Every use starts its time anew, so blocks expire in LRU order. A cache that is full before that
evicts the least recently used. A block used exactly `ttl_s` ago is still there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.lists import last_free
from tierlab.policies.cache.state import F0, NOW, State
from tierlab.policies.cache.verbs import Kept, Verbs
from tierlab.policies.reuse.lru import QUEUE, evict, remove
from tierlab.policies.reuse.lru import find as touch
from tierlab.policies.reuse.lru import insert as put


def find(s: State, slot: int) -> bool:
    """Move a cached block to the front and start its time anew."""
    if not touch(s, slot):
        return False
    s.key[slot, 0] = s.real[NOW]
    return True


def insert(s: State, slot: int) -> bool:
    """Put a new block at the front and start its time."""
    s.key[slot, 0] = s.real[NOW]
    return put(s, slot)


def stale(s: State) -> bool:
    """Return whether the least recently used block has outlived its time."""
    slot = last_free(s, QUEUE)
    return bool(s.key[slot, 0] + s.real[F0] < s.real[NOW])


@dataclass(frozen=True)
class Ttl(Kept):
    """Keep blocks for some time after their last use.

    Attributes
    ----------
    ttl_s
        Seconds that an unused block stays; 300 is the default lifetime of Anthropic's prompt
        cache, 3,600 its longer one.
    """

    ttl_s: float = 300.0

    name: ClassVar[str] = "ttl"
    paper: ClassVar[str] = "Anthropic API documentation, Prompt caching: cache lifetime, 2025"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, stale, remove, key=True)

    def __post_init__(self) -> None:
        """Check the range."""
        if isinstance(self.ttl_s, bool) or not self.ttl_s > 0:
            raise ValueError(f"ttl_s = {self.ttl_s} is not more than 0")

    def prepare(self, state: State) -> None:
        """Set the lifetime."""
        state.real[F0] = self.ttl_s
