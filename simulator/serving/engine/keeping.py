"""What stays of a request's context: less than all of it where the design drops tokens."""

from __future__ import annotations

from tierlab.simulator.serving.engine.pool import release_from
from tierlab.simulator.serving.engine.state import BLOCK_SIZE, NEWS, NOBODY, PRUNES, Core


def in_prompt(core: Core, row: int) -> bool:
    """Say whether a request computes its prompt, or again what it lost."""
    return core.r.generated[row] == 0 or core.r.resuming[row]


def kept(core: Core, row: int, tokens: int) -> int:
    """Return how many of a context's tokens a request has once its prompt is whole."""
    if not core.reg[PRUNES]:
        return tokens
    stays = core.kept.base[row] + tokens - core.r.input_tokens[row]
    return min(stays, core.kept.most[row])


def blocks_of(core: Core, row: int, tokens: int) -> int:
    """Return the blocks that a request holds at a context of so many tokens."""
    stays = tokens
    if core.reg[PRUNES] and not in_prompt(core, row):
        stays = kept(core, row, tokens)
    return core.units[(stays + core.reg[BLOCK_SIZE] - 1) // core.reg[BLOCK_SIZE]]


def drop(core: Core, prefilled: int) -> None:
    """Let go of the blocks of what is dropped when a prompt is whole, but for the next token's."""
    for i in range(prefilled):
        row = core.prefilled[i]
        seat = core.r.seat[row]
        if seat == NOBODY:
            continue
        wanted, held = blocks_of(core, row, core.r.computed[row] + 1), core.r.held[row]
        if wanted < held:
            release_from(core.blocks, core.table, seat, wanted, held)
            core.r.held[row] = wanted
            core.reg[NEWS] = 1
