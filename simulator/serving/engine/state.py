"""What a replica remembers: arrays and registers that the compiled functions share.

Queues are linked lists through `Core.link`, because a request waits in one place at a time: in the
inbox until a batch is fixed after its arrival, then in the waiting queue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.serving.engine.naming import Names
from tierlab.simulator.serving.engine.pool import Blocks

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NOBODY = -1
SOURCES = 3
MOST_STEPS = 4096
"""Steps in one event at most; a batch that lasts longer goes on in the next event."""

(
    PHASE,
    ASYNCHRONOUS,
    SHARING,
    BLOCK_SIZE,
    BUDGET,
    MOST_SEQS,
    LIMIT_STEPS,
    KEEPS_REPLIES,
    TIERED,
    LOAD_MODE,
) = range(10)
"""`PHASE`, and the settings of a replica."""
(
    RUNNING,
    WAITING,
    WAITING_HEAD,
    WAITING_TAIL,
    INBOX,
    INBOX_HEAD,
    INBOX_TAIL,
    READY,
    READY_HEAD,
    READY_TAIL,
    FREE_SEATS,
    NEWS,
    STEPS,
    DONE,
    ROWS,
    MISSING,
    FAILED_VERSION,
    FAILED_FREE,
    FAILED_ROW,
    PREEMPTED,
    GRANTED,
    ASKED,
    ASKED_HITS,
    STARTED,
    FILLED,
    LEFT,
    HELD_UP,
) = range(10, 37)
"""`WAITING`, `INBOX`, `READY`: how many wait, followed by the first and the last of them; those in
`READY` have their blocks, loaded from a lower tier. `NEWS`: blocks went after the next batch was
fixed. `STEPS`: those of the batch under way. `DONE`, `ROWS`, `STARTED`, `FILLED`, `LEFT`: used
entries of the lists of `Core`. `MISSING`: which times the clock lacks. `FAILED_*`: the waiting
request that last found no room, and when. `PREEMPTED`, `GRANTED`: of the batch that is being fixed.
`ASKED`, `ASKED_HITS`: the request whose load is to be decided, and the blocks that it found.
`HELD_UP`: loads that the batch waits for."""
COMPUTED, RECOMPUTED, OUTPUT, REUSED, BLOCKS_HIT, PREEMPTIONS = range(37, 43)
"""What the ledger is told: tokens, blocks, and how often a request lost its blocks."""
STORES_FIRST, SAVING = 43, 44
"""Whether a step ends once what it computed has left HBM; what this one computed is leaving."""
PRUNES, FAR_FREE, FAR_PEAK, FAR_SIZE = range(45, 49)
"""Whether stored tokens are dropped; of the tier that KV is placed in below HBM, what is free of
it, the least that ever was free taken from all, and all, in `Kept.far`'s unit."""
EACH, HAPPENED = 49, 50
"""Used entries of the lists of `Core` that are kept for a watcher."""
REGISTERS = 51

NOW, NEXT, ATTENTION_BYTES, PEAK_BYTES, BLOCK_BYTES, AT, END, NOT_BEFORE, STRETCH = range(9)
"""Real registers: the replica's time; when it must be called again; when the batch that is being
fixed is fixed, and when the steps that are being settled end; before when the steps under way
cannot end, because of a load; how much longer steps last beside copies."""
FIRST_LAUNCH_S, BLOCKED_S = 9, 10
"""How long the first launch blocks the host; of the steps under way, how long their launch does."""
MOVES_LATENCY_S, MOVES_ISSUE_S, MOVES_S_PER_BYTE, MOVES_ADD, MOVED_BYTES, STORED_BYTES = range(
    11, 17
)
"""Copies of KV that is placed below HBM: what those of one step cost (`far.CopyCost`), 1 where they
add to the step's time and 0 where they overlap it; and the bytes so far, to HBM and from it."""
REALS = 17

IDLE, FIXING, FIXED, PLANNED, FIXING_NEXT, SETTLING = range(6)
"""Phases: no batch is fixed; one is being fixed; one is, without times; it runs; its tokens are
known and the next is being fixed; what it emitted is to be noted."""
SLEEPS, RUNS, LACKS_TIMES, ANSWERED, FULL, BROKEN, ASKS, LOADS, GOES_ON = range(9)
"""What `advance` stopped for: nothing to do; a batch runs until `NEXT`; the clock must learn
`MISSING`; requests were answered; lists must be emptied; time ran backwards; somebody must say how
much `ASKED` loads; the batch waits for loads."""
REQUEST_ASYNC, LAYERWISE, BLOCKING = range(3)
"""Who waits for a load: the request, with its blocks; its step, layer by layer; everybody."""
UNASKED = -1


class Batch(NamedTuple):
    """One step's work.

    Attributes
    ----------
    number
        int64[4]: decodes, chunks, whether it was fixed with a preemption, and how many of the
        chunks end their prefill.
    decodes
        int64[seats], requests that compute one token.
    chunks, tokens
        int64[seats], requests in prefill, and how many tokens each computes.
    """

    number: Ints
    decodes: Ints
    chunks: Ints
    tokens: Ints


class Columns(NamedTuple):
    """The requests of a run, one row a request, shared by all replicas.

    The first are columns of `Requests`. `loads` are the blocks to be loaded from lower tiers at
    admission, `fresh` their tokens that no one had computed or reused for this request yet.
    `ready_s` is when a request came into the inbox, or had its blocks.
    """

    input_tokens: Ints
    output_tokens: Ints
    computed: Ints
    generated: Ints
    furthest: Ints
    recomputed: Ints
    reused: Ints
    preemptions: NDArray[np.int32]
    resuming: NDArray[np.bool_]
    status: NDArray[np.int8]
    queued_s: Floats
    scheduled_s: Floats
    first_token_s: Floats
    last_token_s: Floats
    held: Ints
    seat: Ints
    link: Ints
    loads: Ints
    fresh: Ints
    ready_s: Floats


class Kept(NamedTuple):
    """What a design leaves of the requests' contexts; empty arrays where it leaves all.

    A request keeps ``min(base + context - input_tokens, most)`` tokens once its prompt is whole,
    and before that all of them.

    Attributes
    ----------
    base, most
        int64[n], tokens that stay of each prompt, and of the request at its end.
    keys
        float64[longest + 2], keys that a decode reads the bytes of, by the tokens that were kept.
    moved
        float64[longest + 2], bytes that a decode brings to HBM, by kept tokens, on one rank.
    far_bytes
        float64[longest + 2], bytes of a context that lie below HBM, on one rank.
    far
        int64[n], KiB below HBM that a request needs in the end, on all ranks.
    """

    base: Ints
    most: Ints
    keys: Floats
    moved: Floats
    far_bytes: Floats
    far: Ints


class Core(NamedTuple):
    """One replica; s is the most requests that run at once.

    Attributes
    ----------
    reg, real
        int64[REGISTERS], float64[REALS].
    r
        The requests of all replicas.
    running
        int64[s], in the order of admission.
    seats
        int64[s], rows of `table` that are free.
    table
        int32[s, most blocks], the blocks that each running request holds, in order.
    units
        int64, blocks of the pool that hold so many blocks of tokens.
    batch, following
        The batch under way, and the one that is fixed already.
    prefilled
        int64[s], requests whose prefill ends with the batch under way.
    wanted
        int64[2, s], scratch: rows and their tokens.
    seconds, ends
        float64[MOST_STEPS], durations of the steps under way, and when each ends.
    by_source
        float64[SOURCES, MOST_STEPS].
    busy
        float64[SOURCES], seconds of steps so far.
    kept
        What the design leaves.
    seen
        float64[longest + 1], KV bytes that attention of a prompt's chunk reads.
    reads, reads_before
        float64[longest + 1], KV bytes that a decode reads by the tokens that are kept, and their
        sum over all shorter ones.
    done
        int64, requests that were answered, in order.
    started
        int64, requests that were admitted with blocks to load.
    filled
        int64[capacity, 3], requests, and the tokens from which to which they computed.
    left
        int64, names of blocks that were evicted.
    rows
        float64[capacity, columns], macro-steps that were not collected yet.
    gaps, gap_seconds
        float64, a histogram of the gaps between output tokens: how many, and their sum.
    each, happened
        float64[capacity, columns], single steps and what happened to requests (`watched`); without
        entries where nobody watches.
    """

    reg: Ints
    real: Floats
    r: Columns
    blocks: Blocks
    names: Names
    running: Ints
    seats: Ints
    table: NDArray[np.int32]
    units: Ints
    batch: Batch
    following: Batch
    prefilled: Ints
    wanted: Ints
    seconds: Floats
    ends: Floats
    by_source: Floats
    busy: Floats
    kept: Kept
    seen: Floats
    reads: Floats
    reads_before: Floats
    done: Ints
    started: Ints
    filled: Ints
    left: Ints
    rows: Floats
    gaps: Floats
    gap_seconds: Floats
    each: Floats
    happened: Floats


def new_batch(seats: int) -> Batch:
    """Return an empty batch."""
    return Batch(np.zeros(4, np.int64), *(np.zeros(seats, np.int64) for _ in range(3)))


def swap(one: Batch, other: Batch) -> None:
    """Copy the second batch into the first."""
    one.number[0], one.number[1], one.number[2] = other.number[0], other.number[1], other.number[2]
    for i in range(other.number[0]):
        one.decodes[i] = other.decodes[i]
    for i in range(other.number[1]):
        one.chunks[i] = other.chunks[i]
        one.tokens[i] = other.tokens[i]


def append(reg: Ints, link: Ints, queue: int, row: int) -> None:
    """Put a request at the end of a queue: `WAITING` or `INBOX`."""
    number, head, tail = queue, queue + 1, queue + 2
    link[row] = NOBODY
    if reg[number]:
        link[reg[tail]] = row
    else:
        reg[head] = row
    reg[tail] = row
    reg[number] += 1


def prepend(reg: Ints, link: Ints, queue: int, row: int) -> None:
    """Put a request at the front of a queue."""
    number, head, tail = queue, queue + 1, queue + 2
    link[row] = reg[head] if reg[number] else NOBODY
    if not reg[number]:
        reg[tail] = row
    reg[head] = row
    reg[number] += 1


def pop(reg: Ints, link: Ints, queue: int) -> int:
    """Take the request at the front off a queue."""
    row = reg[queue + 1]
    reg[queue + 1] = link[row]
    reg[queue] -= 1
    return row
