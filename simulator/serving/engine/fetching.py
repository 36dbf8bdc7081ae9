"""KV that is placed below HBM comes to it in every step, and what prompts leave goes back.

Each layer's copies follow those of the layer before; a step lasts as long as they do, or as much
longer, where they overlap nothing. What a single decoded token writes back is left out.
"""

from __future__ import annotations

from tierlab.simulator.serving.engine.keeping import kept
from tierlab.simulator.serving.engine.state import (
    MOVED_BYTES,
    MOVES_ADD,
    MOVES_ISSUE_S,
    MOVES_LATENCY_S,
    MOVES_S_PER_BYTE,
    STEPS,
    STORED_BYTES,
    Core,
)
from tierlab.simulator.serving.lookup import WAITING


def add_copies(core: Core) -> None:
    """Let the planned steps last as long as their copies."""
    real, prompts = core.real, _most_of_chunks(core)
    for i in range(core.reg[STEPS]):
        copies_s = _copies_s(core, prompts + _of_decodes(core, i + 1))
        lasts = core.seconds[i]
        longer = lasts + copies_s if real[MOVES_ADD] else max(lasts, copies_s)
        core.by_source[WAITING, i] += longer - lasts
        core.seconds[i] = longer


def note_copies(core: Core, steps: int) -> None:
    """Note the bytes of steps whose tokens were just computed."""
    batch = core.batch
    for i in range(1 - steps, 1):
        core.real[MOVED_BYTES] += _of_decodes(core, i)
    for i in range(batch.number[1]):
        after = core.r.computed[batch.chunks[i]]
        before = after - batch.tokens[i]
        core.real[MOVED_BYTES] += core.kept.far_bytes[before]
        core.real[STORED_BYTES] += core.kept.far_bytes[after] - core.kept.far_bytes[before]


def _copies_s(core: Core, nbytes: float) -> float:
    """Return how long the copies of a step take, layer after layer."""
    if nbytes <= 0.0:
        return 0.0
    real = core.real
    return real[MOVES_LATENCY_S] + max(real[MOVES_ISSUE_S], nbytes * real[MOVES_S_PER_BYTE])


def _of_decodes(core: Core, ahead: int) -> float:
    """Return the bytes that decodes bring in, so many tokens after what they have computed."""
    total = 0.0
    for i in range(core.batch.number[0]):
        row = core.batch.decodes[i]
        total += core.kept.moved[kept(core, row, core.r.computed[row] + ahead)]
    return total


def _most_of_chunks(core: Core) -> float:
    """Return what chunks bring in of the tokens before them, or leave, whichever is more.

    The two directions of a link do not wait for each other.
    """
    total, batch = 0.0, core.batch
    for i in range(batch.number[1]):
        before = core.r.computed[batch.chunks[i]]
        there = core.kept.far_bytes[before]
        total += max(there, core.kept.far_bytes[before + batch.tokens[i]] - there)
    return total
