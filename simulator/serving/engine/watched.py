"""What a run writes down only where somebody watches: every step, and what happens to requests.

Macro-steps are taken apart exactly: each step has its own end, and holds the blocks that its tokens
need, though the loop gives all of a macro-step's blocks out at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tierlab.simulator.serving.engine.keeping import blocks_of
from tierlab.simulator.serving.engine.pool import FREE
from tierlab.simulator.serving.engine.state import (
    DONE,
    EACH,
    END,
    HAPPENED,
    MOST_STEPS,
    NOW,
    RUNNING,
    WAITING,
    Core,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

EACH_COLUMNS = (
    "start_s",
    "end_s",
    "blocks",
    "running",
    "waiting",
    "decodes",
    "prefills",
    "prefill_tokens",
)
"""`blocks`, `running` and `waiting` are those while the step runs. Behind the last step of a batch
stands a row that starts and ends at its end, and says what is left once its requests are gone."""
_BLOCKS = EACH_COLUMNS.index("blocks")

HAPPENED_COLUMNS = ("at_s", "request", "kind")
BEGINS_LOAD, STARTS, PREEMPTS, EMITS, ENDS = range(5)
"""Kinds: a request was admitted and waits for KV from a lower tier; it was put on the running list;
it lost its KV; a prefill ended, with a token; it was answered."""

_PER_SEAT = 5
"""Most of these that happen to a seat's requests from one look at the lists to the next."""


def new_each(watched: bool) -> NDArray[np.float64]:
    """Return the list of steps, empty where nobody watches."""
    return np.zeros((4 * MOST_STEPS * watched, len(EACH_COLUMNS)))


def new_happened(seats: int, watched: bool) -> NDArray[np.float64]:
    """Return the list of what happens to requests."""
    return np.zeros((4 * _PER_SEAT * seats * watched, len(HAPPENED_COLUMNS)))


def no_room(core: Core) -> bool:
    """Say whether one of the lists might overflow in the next round."""
    reg = core.reg
    if reg[EACH] + MOST_STEPS + 1 > len(core.each):
        return True
    return reg[HAPPENED] + _PER_SEAT * len(core.running) > len(core.happened)


def note(core: Core, row: int, kind: int, at_s: float) -> None:
    """Note what happened to a request."""
    at = core.reg[HAPPENED]
    core.happened[at, 0], core.happened[at, 1], core.happened[at, 2] = at_s, row, kind
    core.reg[HAPPENED] += 1


def note_each(core: Core, steps: int) -> None:
    """Note steps whose tokens were just entered, before the next batch is begun."""
    each, first, start, prefill_tokens = core.each, core.reg[EACH], core.real[NOW], 0
    for i in range(core.batch.number[1]):
        prefill_tokens += core.batch.tokens[i]
    for i in range(steps):
        at = first + i
        end = core.ends[i] if i < steps - 1 else core.real[END]
        _state(core, at, start, end)
        each[at, 5], each[at, 6] = core.batch.number[0], core.batch.number[1]
        each[at, 7] = prefill_tokens
        start = end
    core.reg[EACH] += steps
    if steps > 1:
        _hold_step_by_step(core, first, steps)


def _state(core: Core, at: int, start: float, end: float) -> None:
    each = core.each
    each[at, 0], each[at, 1] = start, end
    each[at, 2] = len(core.blocks.holders) - core.blocks.counts[FREE]
    each[at, 3], each[at, 4] = core.reg[RUNNING], core.reg[WAITING]
    each[at, 5] = each[at, 6] = each[at, 7] = 0.0


def _hold_step_by_step(core: Core, first: int, steps: int) -> None:
    """Take from each step the blocks that decodes need only in later ones."""
    each = core.each
    for i in range(core.batch.number[0]):
        row = core.batch.decodes[i]
        before = core.r.computed[row] - steps
        held = blocks_of(core, row, before + 1)
        for step in range(1, steps):
            wanted = blocks_of(core, row, before + step + 1)
            if wanted > held:
                each[first + step - 1, _BLOCKS] -= wanted - held
                held = wanted
    over = 0.0
    for i in range(steps - 2, -1, -1):
        over += each[first + i, _BLOCKS] - each[first + steps - 1, _BLOCKS]
        each[first + i, _BLOCKS] = each[first + steps - 1, _BLOCKS] + over


def note_tokens(core: Core, prefilled: int) -> None:
    """Note the prefills that end with the batch."""
    for i in range(prefilled):
        note(core, core.prefilled[i], EMITS, core.real[END])


def note_after(core: Core, answered: int) -> None:
    """Note who was answered since `Core.done` held so many, and what they leave."""
    for i in range(answered, core.reg[DONE]):
        note(core, core.done[i], ENDS, core.real[END])
    _state(core, core.reg[EACH], core.real[END], core.real[END])
    core.reg[EACH] += 1
