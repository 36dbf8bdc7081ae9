"""Doubly linked lists of slots, circular through a head slot below `SLOT0`.

The front is the slot behind the head. These functions are compiled into the policies that name
them (`compiled`), so they are plain Python here.
"""

from __future__ import annotations

from tierlab.policies.cache.state import State

BEHIND, AHEAD = 0, 1


def push_front(s: State, head: int, slot: int) -> None:
    """Put a slot that is in no list at the front."""
    insert_behind(s, head, slot)


def insert_behind(s: State, place: int, slot: int) -> None:
    """Put a slot that is in no list behind `place`."""
    second = s.link[place, BEHIND]
    s.link[slot, BEHIND] = second
    s.link[slot, AHEAD] = place
    s.link[place, BEHIND] = slot
    s.link[second, AHEAD] = slot


def unlink(s: State, slot: int) -> None:
    """Take a slot out of its list."""
    behind, ahead = s.link[slot, BEHIND], s.link[slot, AHEAD]
    s.link[ahead, BEHIND] = behind
    s.link[behind, AHEAD] = ahead


def move_front(s: State, head: int, slot: int) -> None:
    """Move a slot from its list to the front of one."""
    if s.link[head, BEHIND] != slot:
        unlink(s, slot)
        insert_behind(s, head, slot)


def run_front(s: State, head: int, first: int, last: int) -> None:
    """Move the run from `first` (ahead) to `last` (behind) of a list to its front."""
    second = s.link[head, BEHIND]
    if second == first:
        return
    behind, ahead = s.link[last, BEHIND], s.link[first, AHEAD]
    s.link[ahead, BEHIND] = behind
    s.link[behind, AHEAD] = ahead
    s.link[head, BEHIND] = first
    s.link[first, AHEAD] = head
    s.link[last, BEHIND] = second
    s.link[second, AHEAD] = last


def last_free(s: State, head: int) -> int:
    """Return the slot nearest to the end that nobody holds, or 0."""
    slot = s.link[head, AHEAD]
    while slot != head:
        if s.hold[slot] == 0:
            return int(slot)
        slot = s.link[slot, AHEAD]
    return 0
