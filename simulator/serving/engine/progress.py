"""What steps compute and emit, entered into the columns of the requests."""

from __future__ import annotations

from tierlab.simulator.serving.engine.moves import fill, hold, leave_finished
from tierlab.simulator.serving.engine.state import (
    COMPUTED,
    DONE,
    FILLED,
    NEWS,
    OUTPUT,
    RECOMPUTED,
    RUNNING,
    SAVING,
    TIERED,
    Batch,
    Core,
)

IS_DONE = 2
"""`Requests.status` of a request that was answered."""


def advance_tokens(core: Core, batch: Batch, steps: int) -> int:
    """Enter what `steps` steps compute and emit; list and count the prefills that end."""
    r, decodes = core.r, batch.number[0]
    for i in range(decodes):
        row = batch.decodes[i]
        if steps > 1:
            hold(core, row, r.computed[row] + steps)
        _compute(core, row, steps)
        r.generated[row] += steps
    prefilled = 0
    for i in range(batch.number[1]):
        row, before = batch.chunks[i], r.computed[batch.chunks[i]]
        _compute(core, row, batch.tokens[i])
        fill(core, row, before, r.computed[row])
        if core.reg[TIERED] and not core.reg[SAVING]:
            report_filled(core, row, before, r.computed[row])
        if r.computed[row] == r.input_tokens[row] + r.generated[row]:
            r.generated[row] += 1
            r.resuming[row] = False
            core.prefilled[prefilled] = row
            prefilled += 1
    core.reg[OUTPUT] += steps * decodes + prefilled
    return prefilled


def report_chunks(core: Core, batch: Batch) -> None:
    """List what the chunks of a batch compute, before it is entered."""
    for i in range(batch.number[1]):
        row = batch.chunks[i]
        before = core.r.computed[row]
        report_filled(core, row, before, before + batch.tokens[i])


def report_filled(core: Core, row: int, before: int, after: int) -> None:
    """List tokens that a request has computed."""
    at = core.reg[FILLED]
    core.filled[at, 0], core.filled[at, 1], core.filled[at, 2] = row, before, after
    core.reg[FILLED] += 1


def _compute(core: Core, row: int, tokens: int) -> None:
    """Let a request compute tokens: anew, or again what it lost."""
    r = core.r
    before, reached = r.computed[row], r.furthest[row]
    after = before + tokens
    r.computed[row], r.furthest[row] = after, max(reached, after)
    lost = max(min(after, reached) - before, 0)
    r.recomputed[row] += lost
    core.reg[RECOMPUTED] += lost
    prompt = r.input_tokens[row]
    core.reg[COMPUTED] += min(r.furthest[row], prompt) - min(reached, prompt)


def finish(core: Core, batch: Batch, prefilled: int) -> None:
    """Answer the requests that just emitted their last token; their blocks are free.

    They leave in the order of the running list, and are reported decodes first.
    """
    r, before = core.r, core.reg[DONE]
    for i in range(batch.number[0]):
        _report(core, batch.decodes[i])
    for i in range(prefilled):
        _report(core, core.prefilled[i])
    if core.reg[DONE] == before:
        return
    core.reg[NEWS] = 1
    kept = 0
    for i in range(core.reg[RUNNING]):
        row = core.running[i]
        if r.status[row] == IS_DONE:
            leave_finished(core, row)
        else:
            core.running[kept] = row
            kept += 1
    core.reg[RUNNING] = kept


def _report(core: Core, row: int) -> None:
    if core.r.generated[row] >= core.r.output_tokens[row]:
        core.r.status[row] = IS_DONE
        core.done[core.reg[DONE]] = row
        core.reg[DONE] += 1
