"""Which requests run in the next step: continuous batching with chunked prefill.

The rules are vLLM v1's (vllm/v1/core/sched/scheduler.py, 0.19): a running list in admission order;
decodes and prefill chunks share one token budget; first come, first served; a request is admitted
once its whole input fits (`scheduler_reserve_full_isl`); no admission in a step that preempted; the
victim is the last running request, which is recomputed, but for its blocks that are still there.

Scheduling hands out blocks. What the batch computes is entered by `progress.advance_tokens`, which
with asynchronous scheduling happens when the step starts: the next batch is fixed before this one's
tokens are known, though not before their number is.
"""

from __future__ import annotations

from math import isnan

from tierlab.simulator.serving.engine.keeping import blocks_of
from tierlab.simulator.serving.engine.moves import (
    blocks_for,
    fill,
    find,
    free_hits,
    hold,
    leave,
    leave_finished,
    take_seat,
)
from tierlab.simulator.serving.engine.pool import FREE, VERSION, next_is_cached
from tierlab.simulator.serving.engine.state import (
    ASKED,
    ASKED_HITS,
    AT,
    BLOCK_SIZE,
    BUDGET,
    FAILED_FREE,
    FAILED_ROW,
    FAILED_VERSION,
    FAR_FREE,
    FREE_SEATS,
    GRANTED,
    INBOX,
    INBOX_HEAD,
    LIMIT_STEPS,
    LOAD_MODE,
    MOST_SEQS,
    NOBODY,
    PREEMPTED,
    PREEMPTIONS,
    READY,
    READY_HEAD,
    REQUEST_ASYNC,
    REUSED,
    RUNNING,
    STARTED,
    TIERED,
    UNASKED,
    WAITING,
    WAITING_HEAD,
    Batch,
    Core,
    append,
    pop,
    prepend,
)
from tierlab.simulator.serving.engine.watched import BEGINS_LOAD, PREEMPTS, STARTS, note

IS_WAITING, IS_RUNNING = 0, 1
"""`Requests.status` of a request that waits and of one that runs."""


def begin(core: Core, at_s: float) -> None:
    """Begin to fix a batch at a time that may lie before now: later arrivals are not seen.

    Whoever runs goes on, but for those that are preempted. `admit` and `fix` do the rest.
    """
    reg, r = core.reg, core.r
    core.real[AT] = at_s
    while reg[INBOX] and r.ready_s[reg[INBOX_HEAD]] <= at_s:
        row = pop(reg, r.link, INBOX)
        r.status[row], r.queued_s[row] = IS_WAITING, at_s
        append(reg, r.link, WAITING, row)
    while reg[READY] and r.ready_s[reg[READY_HEAD]] <= at_s:
        prepend(reg, r.link, WAITING, pop(reg, r.link, READY))
    reg[PREEMPTED], number = 0, grant_running(core)
    while number < 0:
        reg[PREEMPTED] |= preempt_last(core)
        number = grant_running(core)
    reg[GRANTED] = number


def grant_running(core: Core) -> int:
    """Give tokens and blocks to running requests in order; return how many compute.

    Returns -1, and gives nothing, where their blocks are not free.
    """
    number = _wanted(core)
    lacking = 0
    for i in range(number):
        row = core.wanted[0, i]
        tokens = core.r.computed[row] + core.wanted[1, i]
        lacking += max(blocks_of(core, row, tokens) - core.r.held[row], 0)
    if lacking > core.blocks.counts[FREE]:
        return -1
    if lacking:
        for i in range(number):
            row = core.wanted[0, i]
            hold(core, row, core.r.computed[row] + core.wanted[1, i])
    return number


def _wanted(core: Core) -> int:
    """List the running requests that compute, and the tokens that the budget leaves each."""
    r, number, left = core.r, 0, core.reg[BUDGET]
    for i in range(core.reg[RUNNING]):
        row = core.running[i]
        if r.generated[row] >= r.output_tokens[row]:
            continue
        tokens = r.input_tokens[row] + r.generated[row] - r.computed[row]
        granted = min(tokens, left)
        left -= tokens
        if granted > 0:
            core.wanted[0, number], core.wanted[1, number] = row, granted
            number += 1
    return number


def preempt_last(core: Core) -> bool:
    """Free the last running request; it waits again, unless it just emits its last token."""
    r = core.r
    core.reg[RUNNING] -= 1
    row = core.running[core.reg[RUNNING]]
    if r.generated[row] >= r.output_tokens[row]:
        leave_finished(core, row)
        return False
    fill(core, row, 0, r.computed[row])
    leave(core, row)
    r.computed[row] = 0
    r.status[row] = IS_WAITING
    r.preemptions[row] += 1
    r.resuming[row] = r.generated[row] > 0
    core.reg[PREEMPTIONS] += 1
    prepend(core.reg, core.r.link, WAITING, row)
    if len(core.each):
        note(core, row, PREEMPTS, core.real[AT])
    return True


def admit(core: Core) -> bool:
    """Admit waiting requests in order; say whether that is over, or `ASKED` must be told first."""
    reg, r = core.reg, core.r
    budget = reg[BUDGET]
    for i in range(reg[GRANTED]):
        budget -= core.wanted[1, i]
    while reg[WAITING] and not reg[PREEMPTED] and budget > 0 and reg[RUNNING] < reg[MOST_SEQS]:
        row = reg[WAITING_HEAD]
        whole = r.input_tokens[row] + r.generated[row]
        if r.seat[row] == NOBODY:
            if reg[FREE_SEATS] == 0 or _found_no_room(core, row):
                return True
            if len(core.kept.far) and core.kept.far[row] > reg[FAR_FREE]:
                return True
            hits = find(core, row, whole)
            if reg[TIERED] and r.loads[row] == UNASKED:
                reg[ASKED], reg[ASKED_HITS] = row, hits
                return False
            loads, r.loads[row] = max(r.loads[row], 0), UNASKED
            if needed(core, whole, hits, budget) + free_hits(core, hits) > core.blocks.counts[FREE]:
                _note_no_room(core, row)
                return True
            pop(reg, r.link, WAITING)
            take(core, row, hits, loads)
            if loads and reg[LOAD_MODE] == REQUEST_ASYNC:
                hold(core, row, whole)
                continue
        else:
            pop(reg, r.link, WAITING)
        budget -= run(core, row, min(whole - r.computed[row], budget))
    return True


def needed(core: Core, whole: int, hits: int, budget: int) -> int:
    """Return the blocks that must be free to admit: the whole input's, but for the hits."""
    return blocks_for(core.units, core.reg[BLOCK_SIZE], whole) - hits


def _found_no_room(core: Core, row: int) -> bool:
    """Say whether a request that found no room would find none again."""
    counts, reg = core.blocks.counts, core.reg
    unchanged = reg[FAILED_ROW] == row and reg[FAILED_VERSION] == counts[VERSION]
    return unchanged and counts[FREE] <= reg[FAILED_FREE]


def _note_no_room(core: Core, row: int) -> None:
    core.reg[FAILED_ROW] = row
    core.reg[FAILED_VERSION] = core.blocks.counts[VERSION]
    core.reg[FAILED_FREE] = core.blocks.counts[FREE]


def take(core: Core, row: int, hits: int, loads: int) -> None:
    """Seat a request with the blocks that it found and those that it loads."""
    r, size = core.r, core.reg[BLOCK_SIZE]
    take_seat(core, row, hits)
    prompt, reached = r.input_tokens[row], r.furthest[row]
    found, whole = min(hits * size, prompt), min((hits + loads) * size, prompt)
    fresh = max(found - min(reached, prompt), 0)
    r.reused[row] += fresh
    core.reg[REUSED] += fresh
    r.computed[row] = (hits + loads) * size
    r.furthest[row] = max(reached, r.computed[row])
    if loads:
        r.fresh[row] = max(whole - max(found, min(reached, prompt)), 0)
        r.reused[row] += r.fresh[row]
        core.started[core.reg[STARTED]] = row
        core.reg[STARTED] += 1
        if len(core.each):
            note(core, row, BEGINS_LOAD, core.real[AT])


def run(core: Core, row: int, granted: int) -> int:
    """Put a seated request on the running list, to compute so many tokens; return them."""
    reg, r = core.reg, core.r
    hold(core, row, r.computed[row] + granted)
    r.status[row] = IS_RUNNING
    core.running[reg[RUNNING]] = row
    reg[RUNNING] += 1
    core.wanted[0, reg[GRANTED]], core.wanted[1, reg[GRANTED]] = row, granted
    reg[GRANTED] += 1
    if len(core.each):
        note(core, row, STARTS, core.real[AT])
    return granted


def fix(core: Core, batch: Batch) -> bool:
    """Split what computes into decodes and prefill chunks; say whether there is anything."""
    r, decodes, chunks = core.r, 0, 0
    for i in range(core.reg[GRANTED]):
        row = core.wanted[0, i]
        if r.generated[row] > 0 and not r.resuming[row]:
            batch.decodes[decodes] = row
            decodes += 1
        else:
            batch.chunks[chunks], batch.tokens[chunks] = row, core.wanted[1, i]
            chunks += 1
            if isnan(r.scheduled_s[row]):
                r.scheduled_s[row] = core.real[AT]
    batch.number[0], batch.number[1], batch.number[2] = decodes, chunks, core.reg[PREEMPTED]
    return decodes + chunks > 0


def quiet_steps(core: Core, batch: Batch) -> int:
    """Return for how many steps this batch repeats if nothing arrives: at least 1.

    The batch changes when a request finishes or the pool runs out of blocks. A batch with
    prefill, or one that the budget cuts, lasts one step.
    """
    decodes = batch.number[0]
    if batch.number[1] or batch.number[2] or decodes < core.reg[RUNNING]:
        return 1
    most = core.reg[LIMIT_STEPS]
    for i in range(decodes):
        row = batch.decodes[i]
        most = min(most, core.r.output_tokens[row] - core.r.generated[row])
    if len(core.left) and next_is_cached(core.blocks):
        most = min(most, _steps_without_blocks(core, batch))
    return max(1, _steps_that_fit(core, batch, most))


def _steps_without_blocks(core: Core, batch: Batch) -> int:
    """Return for how many steps nobody needs a block: what is evicted is told when it happens."""
    steps, size = core.reg[LIMIT_STEPS], core.reg[BLOCK_SIZE]
    for i in range(batch.number[0]):
        tokens = core.r.computed[batch.decodes[i]]
        steps = min(steps, (tokens + size - 1) // size * size - tokens)
    return steps + 1


def _steps_that_fit(core: Core, batch: Batch, most: int) -> int:
    if _lacking(core, batch, most) <= core.blocks.counts[FREE]:
        return most
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        if _lacking(core, batch, middle) <= core.blocks.counts[FREE]:
            low = middle
        else:
            high = middle
    return low


def _lacking(core: Core, batch: Batch, steps: int) -> int:
    """Return the blocks that the decodes lack to hold what so many steps compute."""
    total = 0
    for i in range(batch.number[0]):
        row = batch.decodes[i]
        tokens = core.r.computed[row] + steps
        total += max(blocks_of(core, row, tokens) - core.r.held[row], 0)
    return total
