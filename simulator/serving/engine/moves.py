"""A request's blocks: found, held, filled and let go of (vllm/v1/core/kv_cache_manager.py)."""

from __future__ import annotations

from typing import Any

from tierlab.simulator.serving.engine.keeping import blocks_of
from tierlab.simulator.serving.engine.naming import name_blocks
from tierlab.simulator.serving.engine.pool import (
    acquire,
    free_among,
    grow,
    match,
    release,
    remember,
)
from tierlab.simulator.serving.engine.state import (
    BLOCK_SIZE,
    BLOCKS_HIT,
    FAR_FREE,
    FAR_PEAK,
    FAR_SIZE,
    FREE_SEATS,
    KEEPS_REPLIES,
    LEFT,
    NOBODY,
    SHARING,
    Core,
)


def blocks_for(units: Any, size: int, tokens: int) -> int:
    """Return the blocks that one request of so many tokens holds."""
    return units[(tokens + size - 1) // size]


def find(core: Core, row: int, tokens: int) -> int:
    """Return how many leading blocks of a request can be hit; their names stay in the scratch.

    The last token is always computed: a full hit recomputes its last block.
    """
    if not core.reg[SHARING]:
        return 0
    most = (tokens - 1) // core.reg[BLOCK_SIZE]
    name_blocks(core.names, row, 0, most)
    return match(core.blocks, core.names.scratch, most)


def free_hits(core: Core, hits: int) -> int:
    """Return how many of the blocks that `find` found nobody holds."""
    return free_among(core.blocks, core.names.scratch, hits)


def take_seat(core: Core, row: int, hits: int) -> None:
    """Seat a request and hold the blocks that `find` found."""
    core.reg[FREE_SEATS] -= 1
    seat = core.seats[core.reg[FREE_SEATS]]
    core.r.seat[row] = seat
    if len(core.kept.far):
        core.reg[FAR_FREE] -= core.kept.far[row]
        core.reg[FAR_PEAK] = max(core.reg[FAR_PEAK], core.reg[FAR_SIZE] - core.reg[FAR_FREE])
    acquire(core.blocks, core.names.scratch, hits, core.table, seat)
    core.r.held[row] = hits
    core.reg[BLOCKS_HIT] += hits


def hold(core: Core, row: int, tokens: int) -> None:
    """Give a request the blocks for so many tokens; `missing` says whether they are free."""
    wanted = blocks_of(core, row, tokens)
    held = core.r.held[row]
    if wanted > held:
        seat, reg = core.r.seat[row], core.reg
        reg[LEFT] = grow(core.blocks, core.table, seat, held, wanted, core.left, reg[LEFT])
        core.r.held[row] = wanted


def fill(core: Core, row: int, before: int, after: int) -> None:
    """Let the blocks that were computed from one token to another be hit."""
    if not core.reg[SHARING]:
        return
    size = core.reg[BLOCK_SIZE]
    first, end = before // size, after // size
    if end > first:
        name_blocks(core.names, row, first, end)
        seat, names = core.r.seat[row], core.names.scratch
        remember(core.blocks, core.table, seat, first, names, end - first)


def leave(core: Core, row: int) -> None:
    """Let go of a request's blocks and of its seat."""
    seat = core.r.seat[row]
    release(core.blocks, core.table, seat, core.r.held[row])
    core.r.held[row], core.r.seat[row] = 0, NOBODY
    if len(core.kept.far):
        core.reg[FAR_FREE] += core.kept.far[row]
    core.seats[core.reg[FREE_SEATS]] = seat
    core.reg[FREE_SEATS] += 1


def leave_finished(core: Core, row: int) -> None:
    """Let go of a finished request; where replies are reused, its reply stays with its names.

    The KV of the last output token is never computed, but the block it lies in counts as full.
    """
    if core.reg[KEEPS_REPLIES]:
        size = core.reg[BLOCK_SIZE]
        whole = core.r.input_tokens[row] + core.r.output_tokens[row]
        fill(core, row, 0, min(whole, -((1 - whole) // size) * size))
    leave(core, row)
