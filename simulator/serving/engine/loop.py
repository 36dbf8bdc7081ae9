"""One replica on simulated time: it schedules, lets steps pass, and settles what they emitted.

Many steps pass in one event while the batch does not change: their durations are one array, and a
cumulative sum finds the step boundary at which an arrival splits it.

With asynchronous scheduling the next batch is fixed when a step starts, so an arrival waits for
one more step, and the blocks of a request that finishes are free one step late.

`decode_seconds` and `mixed_seconds` are here those of the clock that counts operations;
`compiled` puts another clock's in their place.
"""

from __future__ import annotations

from math import inf
from typing import Any

from tierlab.simulator.serving.engine.fetching import add_copies, note_copies
from tierlab.simulator.serving.engine.keeping import drop
from tierlab.simulator.serving.engine.moves import fill
from tierlab.simulator.serving.engine.opclock import decode_seconds, mixed_seconds
from tierlab.simulator.serving.engine.progress import advance_tokens, finish, report_chunks
from tierlab.simulator.serving.engine.record import note_first_tokens, note_reads, note_steps
from tierlab.simulator.serving.engine.schedule import admit, begin, fix, quiet_steps
from tierlab.simulator.serving.engine.state import (
    ANSWERED,
    ASKS,
    ASYNCHRONOUS,
    BLOCKED_S,
    BLOCKING,
    BROKEN,
    DONE,
    END,
    FILLED,
    FIRST_LAUNCH_S,
    FIXED,
    FIXING,
    FIXING_NEXT,
    FULL,
    GOES_ON,
    HELD_UP,
    IDLE,
    INBOX,
    INBOX_HEAD,
    LACKS_TIMES,
    LEFT,
    LOAD_MODE,
    LOADS,
    MISSING,
    NEWS,
    NEXT,
    NOT_BEFORE,
    NOW,
    PHASE,
    PLANNED,
    PRUNES,
    READY,
    READY_HEAD,
    REQUEST_ASYNC,
    ROWS,
    RUNNING,
    RUNS,
    SAVING,
    SETTLING,
    SLEEPS,
    STARTED,
    STEPS,
    STORES_FIRST,
    STRETCH,
    TIERED,
    WAITING,
    Core,
    append,
    swap,
)
from tierlab.simulator.serving.engine.watched import no_room, note_after, note_each, note_tokens
from tierlab.simulator.serving.lookup import WAITING as WAITING_FOR_HOST


def submit(core: Core, row: int, at_s: float) -> None:
    """Hand over a request: it queues once a batch is fixed after this."""
    core.r.ready_s[row] = at_s
    append(core.reg, core.r.link, INBOX, row)


def loaded(core: Core, row: int, tokens: int, at_s: float) -> None:
    """Say that the last `tokens` of what a request has were loaded: they can be hit.

    Where the request itself has waited for them, it is ready.
    """
    end = core.r.computed[row]
    fill(core, row, end - tokens, end)
    if core.reg[LOAD_MODE] == REQUEST_ASYNC:
        core.r.ready_s[row] = at_s
        append(core.reg, core.r.link, READY, row)


def advance(core: Core, clock: Any, now_s: float, horizon_s: float, exact: bool) -> int:
    """Let time pass; return what it stopped for (`state.SLEEPS` and so on).

    Parameters
    ----------
    now_s
        The time; steps that end now are settled.
    horizon_s
        Nothing else happens before: steps that end earlier are settled too.
    exact
        Stop at each answer, because something may follow from it.
    """
    stopped = GOES_ON
    while stopped == GOES_ON:
        stopped = _next(core, clock, now_s, horizon_s, exact)
    return stopped


def _next(core: Core, clock: Any, now_s: float, horizon_s: float, exact: bool) -> int:
    """Go on to the next phase; return `GOES_ON`, or why not."""
    phase = core.reg[PHASE]
    if phase == IDLE:
        return _start(core, now_s)
    if phase in (FIXING, FIXING_NEXT):
        return _admit(core, phase)
    if phase == FIXED:
        return _plan(core, clock)
    if phase == PLANNED:
        return _pass(core, now_s, horizon_s)
    return _settle(core, exact)


def _start(core: Core, now_s: float) -> int:
    """Begin to fix a batch now, or when a request arrives."""
    reg, at = core.reg, core.real[NOW]
    if _lists_full(core):
        return FULL
    if not reg[RUNNING] and not reg[WAITING]:
        at = max(at, _first_arrival(core, True))
        if at > now_s:
            return SLEEPS
    elif reg[TIERED] and not reg[RUNNING]:
        at = max(at, now_s)
    begin(core, at)
    core.real[NOW], reg[PHASE] = at, FIXING
    return GOES_ON


def _first_arrival(core: Core, inbox: bool) -> float:
    """Return when the first request is ready, or arrives in the inbox."""
    reg, r, first = core.reg, core.r, inf
    if reg[READY]:
        first = r.ready_s[reg[READY_HEAD]]
    if inbox and reg[INBOX]:
        first = min(first, r.ready_s[reg[INBOX_HEAD]])
    return first


def _lists_full(core: Core) -> bool:
    """Say whether a list might overflow in the next round."""
    reg, most = core.reg, len(core.running)
    if reg[ROWS] >= len(core.rows) or reg[DONE] + most > len(core.done):
        return True
    if len(core.each) and no_room(core):
        return True
    return reg[LEFT] > 0 or reg[STARTED] > 0 or reg[FILLED] + most > len(core.filled)


def _admit(core: Core, phase: int) -> int:
    """Admit who waits; once that is over, fix the batch that `begin` began."""
    reg = core.reg
    if not admit(core):
        return ASKS
    if phase == FIXING_NEXT:
        fix(core, core.following)
        reg[PHASE] = SETTLING
        return GOES_ON
    reg[PHASE] = FIXED if fix(core, core.batch) else IDLE
    if reg[PHASE] == IDLE:
        return SLEEPS
    return FULL if reg[STARTED] else GOES_ON


def _plan(core: Core, clock: Any) -> int:
    """Find how long the batch lasts, and when each of its steps ends."""
    batch, reg = core.batch, core.reg
    if reg[HELD_UP] and reg[LOAD_MODE] == BLOCKING:
        return LOADS
    alone = reg[NEWS] or reg[INBOX] or reg[READY] or reg[HELD_UP]
    reg[STEPS] = 1 if alone else quiet_steps(core, batch)
    lacks = mixed_seconds(clock, core) if batch.number[1] else decode_seconds(clock, core)
    if lacks >= 0:
        reg[MISSING] = lacks
        return LACKS_TIMES
    if len(core.kept.moved):
        add_copies(core)
    if core.real[FIRST_LAUNCH_S] > 0.0:
        _launch_cold(core)
    end = 0.0
    for i in range(reg[STEPS]):
        end += core.seconds[i] * core.real[STRETCH]
        core.ends[i] = core.real[NOW] + end
    reg[PHASE] = PLANNED
    return GOES_ON


def _launch_cold(core: Core) -> None:
    """Let the first launch block the host: the device begins when it ends."""
    real = core.real
    real[BLOCKED_S], real[FIRST_LAUNCH_S] = real[FIRST_LAUNCH_S], 0.0
    core.reg[STEPS] = 1
    core.seconds[0] += real[BLOCKED_S]
    core.by_source[WAITING_FOR_HOST, 0] += real[BLOCKED_S]


def _steps_to_pass(core: Core) -> int:
    """Return the steps up to where an arrival may join, or all.

    An arrival joins at the next step boundary, with asynchronous scheduling one step later. Behind
    others that wait it changes nothing, unless it has its blocks.
    """
    reg = core.reg
    steps, first = reg[STEPS], _first_arrival(core, reg[WAITING] == 0)
    low, high = 0, steps
    while low < high:
        middle = (low + high) // 2
        if core.ends[middle] < first:
            low = middle + 1
        else:
            high = middle
    return min(low + 1 + reg[ASYNCHRONOUS], steps)


def _pass(core: Core, now_s: float, horizon_s: float) -> int:
    """Let steps pass if their time has come: enter what they compute, begin the next batch."""
    reg, real = core.reg, core.real
    if reg[HELD_UP]:
        return LOADS
    start, steps = real[NOW], _steps_to_pass(core)
    end = max(core.ends[steps - 1], real[NOT_BEFORE])
    if end >= horizon_s and end > now_s:
        real[NEXT] = end
        return RUNS
    if end < start:
        return BROKEN
    if _lists_full(core):
        return FULL
    if reg[STORES_FIRST] and core.batch.number[1] and not reg[SAVING]:
        report_chunks(core, core.batch)
        reg[SAVING] = 1
        return FULL
    reg[NEWS], reg[STEPS], real[END] = 0, steps, end
    core.batch.number[3] = advance_tokens(core, core.batch, steps)
    reg[SAVING] = 0
    note_reads(core, steps)
    if len(core.kept.moved):
        note_copies(core, steps)
    if len(core.each):
        note_each(core, steps)
    core.following.number[0] = core.following.number[1] = 0
    reg[PHASE] = SETTLING
    if reg[ASYNCHRONOUS]:
        begin(core, start + real[BLOCKED_S] if steps == 1 else core.ends[steps - 2])
        reg[PHASE] = FIXING_NEXT
    return GOES_ON


def _settle(core: Core, exact: bool) -> int:
    """Note when the tokens of these steps came, and who is done."""
    reg, batch, end, answered = core.reg, core.batch, core.real[END], core.reg[DONE]
    note_steps(core, reg[STEPS], end)
    note_first_tokens(core, batch.number[3], end)
    if len(core.each):
        note_tokens(core, batch.number[3])
    if reg[PRUNES]:
        drop(core, batch.number[3])
    finish(core, batch, batch.number[3])
    if len(core.each):
        note_after(core, answered)
    core.real[NOW], core.real[NOT_BEFORE], core.real[BLOCKED_S] = end, 0.0, 0.0
    fixed = core.following.number[0] + core.following.number[1] > 0
    if fixed:
        swap(batch, core.following)
    reg[PHASE] = FIXED if fixed else IDLE
    if exact and reg[DONE] > answered:
        return ANSWERED
    return FULL if _lists_full(core) else GOES_ON
