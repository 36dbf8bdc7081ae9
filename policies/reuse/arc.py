"""Adaptive replacement cache: recency against frequency, balanced by hits on ghosts.

Blocks seen once lately are in T1, others in T2; B1 and B2 remember ids that left them. As in
libCacheSim, the target p of T1 is a real number that moves by max(1, |other ghost| / |this
ghost|), sizes taken while the returning block is still a ghost; the ghost is gone before the
replacement; and T1 gives way if it is larger than p, or as large and the block returned from B2,
or if T2 is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tierlab.policies.cache.lists import AHEAD, last_free, move_front, push_front, unlink
from tierlab.policies.cache.state import CAPACITY, F0, R0, State
from tierlab.policies.cache.verbs import Kept, Verbs

T1, T2, B1, B2 = 1, 2, 3, 4
LENGTH = R0 - 1  # LENGTH + k: register of the length of list k
RETURNED = R0 + 4  # the ghost list in which the missed block was, or 0
P = F0


def find(s: State, slot: int) -> bool:
    """Move a cached block to the front of T2; learn from a ghost."""
    where = s.where[slot]
    s.reg[RETURNED] = 0
    if where == T2:
        move_front(s, T2, slot)
    elif where == T1:
        _leave(s, slot, T1)
        _enter(s, slot, T2)
        s.where[slot] = T2
    elif where < 0:
        _learn(s, -where)
        _leave(s, slot, -where)
        s.where[slot] = 0
    return bool(where > 0)


def _learn(s: State, ghost: int) -> None:
    """Move the target of T1 towards the list that would have kept the block."""
    s.reg[RETURNED] = ghost
    b1, b2 = s.reg[LENGTH + B1], s.reg[LENGTH + B2]
    if ghost == B1:
        s.real[P] = min(s.real[P] + max(b2 / b1, 1.0), float(s.reg[CAPACITY]))
    else:
        s.real[P] = max(s.real[P] - max(b1 / b2, 1.0), 0.0)


def insert(s: State, slot: int) -> bool:
    """Put a new block into T1, one that returned into T2."""
    to = T2 if s.reg[RETURNED] != 0 else T1
    _enter(s, slot, to)
    s.where[slot] = to
    return True


def evict(s: State) -> int:
    """Make room as the paper's cases II to IV do."""
    if s.reg[RETURNED] != 0:
        return _replace(s)
    t1, b1 = s.reg[LENGTH + T1], s.reg[LENGTH + B1]
    if t1 + b1 >= s.reg[CAPACITY]:
        if b1 == 0:
            return _drop_t1(s)
        _forget(s, B1)
    elif t1 + b1 + s.reg[LENGTH + T2] + s.reg[LENGTH + B2] >= 2 * s.reg[CAPACITY]:
        _forget(s, B2)
    return _replace(s)


def _replace(s: State) -> int:
    """Move the last block of T1 or T2 to its ghost list."""
    t1 = s.reg[LENGTH + T1]
    over = t1 > s.real[P] or (t1 == s.real[P] and s.reg[RETURNED] == B2)
    one, two = last_free(s, T1), last_free(s, T2)
    slot, ghost = two, B2
    if (one != 0 and over) or two == 0:
        slot, ghost = one, B1
    _leave(s, slot, ghost - 2)
    _enter(s, slot, ghost)
    s.where[slot] = -ghost
    return slot


def _drop_t1(s: State) -> int:
    slot = last_free(s, T1)
    if slot == 0:
        return _replace(s)
    _leave(s, slot, T1)
    s.where[slot] = 0
    return slot


def _forget(s: State, ghost: int) -> None:
    slot = s.link[ghost, AHEAD]
    if slot != ghost:
        _leave(s, slot, ghost)
        s.where[slot] = 0


def _leave(s: State, slot: int, queue: int) -> None:
    unlink(s, slot)
    s.reg[LENGTH + queue] -= 1


def _enter(s: State, slot: int, queue: int) -> None:
    push_front(s, queue, slot)
    s.reg[LENGTH + queue] += 1


def remove(s: State, slot: int) -> None:
    """Take a block out of T1 or T2, without a ghost."""
    _leave(s, slot, s.where[slot])


@dataclass(frozen=True)
class Arc(Kept):
    """Keep recent and frequent blocks, in proportions learned from what left too early."""

    name: ClassVar[str] = "arc"
    paper: ClassVar[str] = "Megiddo and Modha, ARC: a self-tuning replacement cache, FAST 2003"
    verbs: ClassVar[Verbs] = Verbs(find, evict, insert, remove=remove)
