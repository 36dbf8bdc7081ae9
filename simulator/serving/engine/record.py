"""What a run writes down as it goes: macro-steps, token gaps, seconds by source."""

from __future__ import annotations

from math import isnan, log
from typing import Any

from tierlab.simulator.serving.engine.keeping import kept
from tierlab.simulator.serving.engine.pool import FREE
from tierlab.simulator.serving.engine.state import (
    ATTENTION_BYTES,
    BLOCK_BYTES,
    BLOCKS_HIT,
    NOW,
    PEAK_BYTES,
    PREEMPTIONS,
    ROWS,
    RUNNING,
    SOURCES,
    WAITING,
    Core,
)

STEP_COLUMNS = (
    "start_s",
    "end_s",
    "steps",
    "decodes",
    "prefills",
    "prefill_tokens",
    "running",
    "waiting",
    "kv_bytes",
    "preemptions",
    "blocks_hit",
)
LEAST_GAP_S = 1e-7
GAP_RATIO = 1.0002
PER_FOLD = 1.0 / log(GAP_RATIO)
GAP_BINS = 145_000
"""Bins of the gaps between tokens: each is 0.02% wide, from `LEAST_GAP_S` to four days."""


def note_steps(core: Core, steps: int, end: float) -> None:
    """Note consecutive steps of the batch, after their tokens were computed."""
    batch, real, rows, at = core.batch, core.real, core.rows, core.reg[ROWS]
    tokens = 0
    for i in range(batch.number[1]):
        tokens += batch.tokens[i]
    used = (len(core.blocks.holders) - core.blocks.counts[FREE]) * real[BLOCK_BYTES]
    real[PEAK_BYTES] = max(real[PEAK_BYTES], used)
    for source in range(SOURCES):
        for i in range(steps):
            core.busy[source] += core.by_source[source, i]
    rows[at, 0], rows[at, 1], rows[at, 2], rows[at, 3] = real[NOW], end, steps, batch.number[0]
    rows[at, 4], rows[at, 5] = batch.number[1], tokens
    rows[at, 6], rows[at, 7], rows[at, 8] = core.reg[RUNNING], core.reg[WAITING], used
    rows[at, 9], rows[at, 10] = core.reg[PREEMPTIONS], core.reg[BLOCKS_HIT]
    core.reg[ROWS] += 1
    if batch.number[0]:
        before = real[NOW]
        for i in range(steps):
            ended = core.ends[i] if i < steps - 1 else end
            note_gap(core.gaps, core.gap_seconds, ended - before, batch.number[0])
            before = ended


def note_reads(core: Core, steps: int) -> None:
    """Note the KV bytes that attention read: a decode its context, a chunk what it sees, once.

    The batch's tokens were just computed, and nobody has lost theirs since.
    """
    total, computed = 0.0, core.r.computed
    for i in range(core.batch.number[0]):
        row = core.batch.decodes[i]
        first, last = kept(core, row, computed[row] - steps), kept(core, row, computed[row])
        total += core.reads_before[last] - core.reads_before[first]
        total += (steps - last + first) * core.reads[last]
    for i in range(core.batch.number[1]):
        total += core.seen[computed[core.batch.chunks[i]]]
    core.real[ATTENTION_BYTES] += total


def note_gap(gaps: Any, gap_seconds: Any, seconds: float, times: int) -> None:
    """Note a gap between output tokens that occurred so often."""
    at = 0
    if seconds > LEAST_GAP_S:
        at = min(int(log(seconds / LEAST_GAP_S) * PER_FOLD), GAP_BINS - 1)
    gaps[at] += times
    gap_seconds[at] += seconds * times


def note_first_tokens(core: Core, prefilled: int, end: float) -> None:
    """Note when tokens came: the last of each decode, and those that end a prefill.

    Such a token is a request's first, or its first since it lost its KV.
    """
    r = core.r
    for i in range(core.batch.number[0]):
        r.last_token_s[core.batch.decodes[i]] = end
    for i in range(prefilled):
        row = core.prefilled[i]
        if isnan(r.first_token_s[row]):
            r.first_token_s[row] = end
        else:
            note_gap(core.gaps, core.gap_seconds, end - r.last_token_s[row], 1)
        r.last_token_s[row] = end
