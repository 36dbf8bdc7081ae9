"""First in, first out: hits change nothing, the block inserted longest ago goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.state import State
from tierlab.policies.cache.verbs import Kept, Verbs
from tierlab.policies.reuse.lru import evict, insert, remove


def find(s: State, slot: int) -> bool:
    """Return whether the block is cached."""
    return bool(s.where[slot] > 0)


@dataclass(frozen=True)
class Fifo(Kept):
    """Keep the most recently inserted blocks."""

    name: ClassVar[str] = "fifo"
    paper: ClassVar[str] = "Belady, A study of replacement algorithms, IBM Systems Journal 5, 1966"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove)
