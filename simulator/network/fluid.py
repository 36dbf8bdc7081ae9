"""Flows that share constraints max-min fairly, advanced from one event to the next.

A slot holds the head of one stream. It waits out its latency, then flows at a rate: the largest
max-min fair one (progressive filling; Bertsekas and Gallager, Data Networks, 6.5.2) under its own
bound and under every constraint, to which it adds ``weight x rate``. Where the bounds of all
flows on a constraint fit within its capacity it cannot bind, so no rates are computed.

Only what an event touches is brought up to date: a flow keeps its remaining bytes as of its last
change of rate, a constraint what it has carried as of its last change of load.

Plain functions, compiled when first used (`compiled_advance`).
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tierlab.kernels.base.binding import Binder, Compiled
from tierlab.simulator.network.state import (
    AS_OF,
    BOUND,
    BUSY,
    CAPACITY,
    CARRIED,
    DEMAND,
    DIRTY,
    FLOWING,
    FLOWS,
    FREE,
    IDLE,
    LATENT,
    LEVEL,
    LOAD,
    MEMBER,
    NEW,
    NEXT,
    OPEN,
    PATH_HEAD,
    PHASE,
    RAISING,
    RATE,
    REMAINING,
    SINCE,
    SLOT_HEAD,
    WIDTH,
)

if TYPE_CHECKING:
    from tierlab.kernels.base.held import Held

SLACK = 1 + 1e-12
"""Rates and capacities this close, relatively, are the same."""


def _contended(state: Any, r: Any) -> Any:
    return state.rule[r, DEMAND] > state.rule[r, CAPACITY] * SLACK


def _settle(state: Any, r: Any, now: Any) -> None:
    """Bring what a constraint has carried up to now."""
    rule = state.rule
    elapsed = now - rule[r, AS_OF]
    if elapsed > 0:
        rule[r, CARRIED] += rule[r, LOAD] * elapsed
        if state.tally[r, FLOWS] > 0:
            rule[r, BUSY] += elapsed
        rule[r, AS_OF] = now


def _enter(state: Any, s: Any, now: Any) -> None:
    """Let a flow begin: at its bound if nothing on its path can bind."""
    slot, path, rule = state.slot[s], state.path[s], state.rule
    alone = True
    for k in range(path[WIDTH]):
        r = path[PATH_HEAD + k]
        _settle(state, r, now)
        state.tally[r, FLOWS] += 1
        rule[r, DEMAND] += slot[SLOT_HEAD + k] * slot[BOUND]
        if _contended(state, r):
            state.tally[r, DIRTY] = 1
            alone = False
    path[PHASE] = FLOWING
    slot[SINCE] = now
    slot[RATE] = 0.0
    if alone:
        _set_rate(state, s, slot[BOUND], now)


def _leave(state: Any, s: Any, now: Any) -> None:
    """Take a flow off its path; where it held others back, their rates are due."""
    slot, path, rule = state.slot[s], state.path[s], state.rule
    for k in range(path[WIDTH]):
        r, weight = path[PATH_HEAD + k], slot[SLOT_HEAD + k]
        _settle(state, r, now)
        if _contended(state, r):
            state.tally[r, DIRTY] = 1
        state.tally[r, FLOWS] -= 1
        rule[r, DEMAND] -= weight * slot[BOUND]
        rule[r, LOAD] -= weight * slot[RATE]
        if state.tally[r, FLOWS] == 0:
            rule[r, DEMAND] = 0.0
            rule[r, LOAD] = 0.0
    slot[REMAINING] = max(slot[REMAINING] - slot[RATE] * (now - slot[SINCE]), 0.0)


def _set_rate(state: Any, s: Any, rate: Any, now: Any) -> None:
    """Change a flow's rate and with it the load of its path and its end."""
    slot, path = state.slot[s], state.path[s]
    if rate == slot[RATE]:
        return
    slot[REMAINING] = max(slot[REMAINING] - slot[RATE] * (now - slot[SINCE]), 0.0)
    slot[SINCE] = now
    for k in range(path[WIDTH]):
        r = path[PATH_HEAD + k]
        _settle(state, r, now)
        state.rule[r, LOAD] += slot[SLOT_HEAD + k] * (rate - slot[RATE])
    slot[RATE] = rate
    slot[NEXT] = now + slot[REMAINING] / rate


def _gather(state: Any, slots: Any) -> Any:
    """Mark every flow that the dirty constraints reach, through contended ones; count them."""
    members = 0
    grew = True
    while grew:
        grew = False
        for s in range(slots):
            path = state.path[s]
            if path[PHASE] == FLOWING and not path[MEMBER] and _touches_dirty(state, s):
                members += 1
                grew = _join(state, s) or grew
    return members


def _touches_dirty(state: Any, s: Any) -> Any:
    path = state.path[s]
    dirty = False
    for k in range(path[WIDTH]):
        dirty = dirty or state.tally[path[PATH_HEAD + k], DIRTY] != 0
    return dirty


def _join(state: Any, s: Any) -> Any:
    """Mark a flow; return whether that made another constraint dirty."""
    path, tally = state.path[s], state.tally
    path[MEMBER] = 1
    spread = False
    for k in range(path[WIDTH]):
        r = path[PATH_HEAD + k]
        if not tally[r, DIRTY] and _contended(state, r):
            tally[r, DIRTY] = 1
            spread = True
    return spread


def _open(state: Any, slots: Any) -> None:
    """Start filling: all capacity free, every member rising from zero."""
    rule, tally = state.rule, state.tally
    for r in range(len(rule)):
        rule[r, FREE] = rule[r, CAPACITY]
        rule[r, OPEN] = 0.0
        tally[r, RAISING] = 0
    for s in range(slots):
        if state.path[s, MEMBER]:
            for k in range(state.path[s, WIDTH]):
                r = state.path[s, PATH_HEAD + k]
                rule[r, OPEN] += state.slot[s, SLOT_HEAD + k]
                tally[r, RAISING] += 1


def _level(state: Any) -> Any:
    """Return the rate at which the first contended constraint fills up."""
    rule, tally = state.rule, state.tally
    lowest = np.inf
    for r in range(len(rule)):
        rule[r, LEVEL] = np.inf
        if tally[r, DIRTY] and tally[r, RAISING] > 0:
            rule[r, LEVEL] = max(rule[r, FREE], 0.0) / rule[r, OPEN]
            lowest = min(lowest, rule[r, LEVEL])
    return lowest


def _freeze(state: Any, s: Any, rate: Any) -> None:
    """Fix a member's new rate and charge its path with it."""
    slot, path, rule = state.slot[s], state.path[s], state.rule
    slot[NEW] = rate
    path[MEMBER] = 2
    for k in range(path[WIDTH]):
        r, weight = path[PATH_HEAD + k], slot[SLOT_HEAD + k]
        rule[r, FREE] -= weight * rate
        rule[r, OPEN] -= weight
        state.tally[r, RAISING] -= 1


def _freeze_bounded(state: Any, slots: Any, level: Any) -> Any:
    """Freeze the members whose own bound is not above the level; return how many."""
    frozen = 0
    for s in range(slots):
        if state.path[s, MEMBER] == 1 and state.slot[s, BOUND] <= level:
            _freeze(state, s, state.slot[s, BOUND])
            frozen += 1
    return frozen


def _freeze_full(state: Any, slots: Any, level: Any) -> Any:
    """Freeze the members on the constraints that are full at the level; return how many."""
    frozen = 0
    for s in range(slots):
        path = state.path[s]
        if path[MEMBER] != 1:
            continue
        for k in range(path[WIDTH]):
            if state.rule[path[PATH_HEAD + k], LEVEL] <= level * SLACK:
                _freeze(state, s, level)
                frozen += 1
                break
    return frozen


def _any_dirty(state: Any) -> Any:
    dirty = False
    for r in range(len(state.tally)):
        dirty = dirty or state.tally[r, DIRTY] != 0
    return dirty


def _fill(state: Any, slots: Any, now: Any) -> None:
    """Compute the rates that the dirty constraints reach anew, and put them into force."""
    if not _any_dirty(state):
        return
    rising = _gather(state, slots)
    if rising > 0:
        _open(state, slots)
    level = 0.0
    while rising > 0:
        level = max(level, _level(state))
        frozen = _freeze_bounded(state, slots, level)
        rising -= frozen if frozen > 0 else _freeze_full(state, slots, level)
    for s in range(slots):
        if state.path[s, MEMBER]:
            state.path[s, MEMBER] = 0
            _set_rate(state, s, state.slot[s, NEW], now)
    for r in range(len(state.tally)):
        state.tally[r, DIRTY] = 0


def _watch(state: Any, now: Any) -> None:
    """Log every watched load that changed; the older half of a full log is dropped."""
    for w in range(len(state.watched)):
        r, row = state.watched[w]
        log = state.log[w]
        if state.rule[r, LOAD] == log[row - 1, 2]:
            continue
        if row == len(log):
            kept = len(log) // 2
            for k in range(kept):
                for column in range(3):
                    log[k, column] = log[row - kept + k, column]
            row = kept
        _settle(state, r, now)
        log[row, 0], log[row, 1], log[row, 2] = now, state.rule[r, CARRIED], state.rule[r, LOAD]
        state.watched[w, 1] = row + 1


def _end_timed(state: Any, s: Any, now: Any) -> None:
    """Charge the path of a copy that nothing bounds with its bytes at once."""
    for k in range(state.path[s, WIDTH]):
        r = state.path[s, PATH_HEAD + k]
        _settle(state, r, now)
        state.rule[r, CARRIED] += state.slot[s, SLOT_HEAD + k] * state.slot[s, REMAINING]
    state.slot[s, REMAINING] = 0.0


def _soonest(state: Any, slots: Any) -> Any:
    soonest = np.inf
    for s in range(slots):
        soonest = min(soonest, state.slot[s, NEXT])
    return soonest


def advance(state: Any, slots: Any, now: Any) -> Any:
    """Do what is due at `now`; return how many copies ended and the time of the next event.

    `slots` says how many of the slots are in use. What ended is in `State.finished`, in order of
    slot, each with the bytes that it left undone in its column `REMAINING`.
    """
    ended = 0
    for s in range(slots):
        if state.slot[s, NEXT] > now:
            continue
        phase = state.path[s, PHASE]
        if phase == LATENT:
            _enter(state, s, now)
            continue
        if phase == FLOWING:
            _leave(state, s, now)
        else:
            _end_timed(state, s, now)
        state.path[s, PHASE] = IDLE
        state.slot[s, NEXT] = np.inf
        state.finished[ended] = s
        ended += 1
    _fill(state, slots, now)
    _watch(state, now)
    return ended, _soonest(state, slots)


@cache
def _compiled(kind: Any) -> Compiled:
    return Binder(inline=False).entry(advance, (kind,))


def compiled_advance(state: Held) -> Compiled:
    """Return `advance`, compiled, for a state: a function of `slots` and `now`."""
    return partial(_compiled(state.type), state.at)
