"""Makes the arrays of a replica."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.schema import EngineSection
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.naming import Names
from tierlab.simulator.serving.engine.pool import new_blocks
from tierlab.simulator.serving.engine.record import GAP_BINS, STEP_COLUMNS
from tierlab.simulator.serving.engine.state import Columns, Core, Kept, new_batch
from tierlab.simulator.serving.engine.watched import new_each, new_happened
from tierlab.simulator.serving.memory import KvPool
from tierlab.simulator.serving.reads import Reads
from tierlab.simulator.serving.requests import Requests, own
from tierlab.simulator.serving.sessions import SessionTree
from tierlab.traces.schema import Trace

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_ROWS = 2048
_NONE = np.zeros(0, np.int64)
EVERYTHING = Kept(_NONE, _NONE, np.zeros(0), np.zeros(0), np.zeros(0), _NONE)
"""What a design leaves that drops nothing, reads all of it, and keeps it in HBM."""


def new_columns(requests: Requests) -> Columns:
    """Return the columns of requests that replicas share: the arrays of `requests` themselves."""
    n = requests.n
    own: dict[str, Any] = {
        "held": np.zeros(n, np.int64),
        "seat": np.full(n, state.NOBODY, np.int64),
        "link": np.full(n, state.NOBODY, np.int64),
        "loads": np.full(n, state.UNASKED, np.int64),
        "fresh": np.zeros(n, np.int64),
        "ready_s": np.zeros(n),
    }
    theirs = {name: getattr(requests, name) for name in Columns._fields if name not in own}
    return Columns(**theirs, **own)


def new_names(trace: Trace, block_size: int, longest: int, share: float) -> Names:
    """Return where the blocks of a trace's requests get their names.

    Parameters
    ----------
    longest
        Most tokens of a request.
    share
        How much of a reply the session's next prompt holds, 0-1.
    """
    size, block = block_size, trace.block_tokens or block_size
    ids = trace.block_counts()
    prompt = trace.input_tokens // size
    covered = np.minimum(ids * block, trace.input_tokens) // size
    output = np.maximum(trace.output_tokens, 1)
    scratch = np.zeros((3, longest // size + 2), np.int64)
    _check_blocks(block, size)
    return Names(
        own(trace.run_offsets),
        own(trace.run_start),
        own(trace.run_count),
        covered,
        np.array([max(block // size, 1)]),
        np.array([max(size // block, 1)]),
        SessionTree(trace).following if share else _NONE,
        (share * output / size).astype(np.int64),
        np.full(len(prompt), -1, np.int64),
        prompt,
        *scratch,
    )


def _check_blocks(theirs: int, ours: int) -> None:
    if max(theirs, ours) % min(theirs, ours):
        raise BadInput(
            "engine.block_size",
            f"{ours} does not divide the trace's blocks of {theirs} tokens",
            f"a divisor or a multiple of {theirs}",
        )


def new_core(
    columns: Columns,
    names: Names | None,
    engine: EngineSection,
    pool: KvPool,
    reads: Reads,
    kept: Kept = EVERYTHING,
    lists_evicted: bool = False,
    first_launch_s: float = 0.0,
    watched: bool = False,
) -> Core:
    """Return an idle replica.

    Parameters
    ----------
    names
        None where the design keeps nothing for other requests.
    reads
        What attention reads (`reads.bytes_read`); replicas share it.
    kept
        What the design leaves of contexts.
    lists_evicted
        Whether somebody wants to know which blocks were evicted.
    first_launch_s
        How long the first launch blocks the host.
    watched
        Whether somebody wants to know every step, and what happens to requests.
    """
    seats, size, units = engine.max_num_seqs, usable_blocks(pool), units_of(pool)
    widest = min(int(units[-1]), size) + 1
    return Core(
        reg=_registers(engine, names, kept),
        real=_reals(pool, first_launch_s),
        r=columns,
        blocks=new_blocks(size),
        names=names or Names(*(_NONE for _ in Names._fields)),
        running=np.zeros(seats, np.int64),
        seats=np.arange(seats)[::-1].copy(),
        table=np.empty((seats, widest), np.int32),
        units=units,
        batch=new_batch(seats),
        following=new_batch(seats),
        prefilled=np.zeros(seats, np.int64),
        wanted=np.zeros((2, seats), np.int64),
        seconds=np.zeros(state.MOST_STEPS),
        ends=np.zeros(state.MOST_STEPS),
        by_source=np.zeros((state.SOURCES, state.MOST_STEPS)),
        busy=np.zeros(state.SOURCES),
        kept=kept,
        seen=reads.chunk,
        reads=reads.decode,
        reads_before=reads.before,
        done=np.zeros(4 * seats, np.int64),
        started=np.zeros(seats, np.int64),
        filled=np.zeros((4 * seats, 3), np.int64),
        left=np.zeros(size if lists_evicted else 0, np.int64),
        rows=np.zeros((_ROWS, len(STEP_COLUMNS))),
        gaps=np.zeros(GAP_BINS),
        gap_seconds=np.zeros(GAP_BINS),
        each=new_each(watched),
        happened=new_happened(seats, watched),
    )


def units_of(pool: KvPool) -> Ints:
    """Return the blocks of the pool that so many blocks of tokens take, int64."""
    units: Ints = np.ceil(pool.table / pool.block_bytes - 1e-9).astype(np.int64)
    return units


def usable_blocks(pool: KvPool) -> int:
    """Return the blocks that requests can hold: all but vLLM's null block."""
    return max(pool.num_blocks - 1, 0)


def _registers(engine: EngineSection, names: Names | None, kept: Kept) -> Ints:
    reg = np.zeros(state.REGISTERS, np.int64)
    reg[state.PRUNES] = len(kept.base) > 0
    reg[state.ASYNCHRONOUS] = engine.async_scheduling
    reg[state.SHARING] = names is not None
    reg[state.KEEPS_REPLIES] = names is not None and len(names.following) > 0
    reg[state.BLOCK_SIZE] = engine.block_size
    reg[state.BUDGET] = engine.max_num_batched_tokens
    reg[state.MOST_SEQS] = reg[state.FREE_SEATS] = engine.max_num_seqs
    reg[state.LIMIT_STEPS] = state.MOST_STEPS
    reg[state.FAILED_ROW] = state.NOBODY
    return reg


def _reals(pool: KvPool, first_launch_s: float) -> Floats:
    real = np.zeros(state.REALS)
    real[state.FIRST_LAUNCH_S] = first_launch_s
    real[state.BLOCK_BYTES], real[state.STRETCH] = pool.block_bytes, 1.0
    return real
