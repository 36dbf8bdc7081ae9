"""How long steps take by operations: `lookup` in the tables of `steptime.StepTimer`."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.serving.axis import nearest
from tierlab.simulator.serving.chunktable import chunk_lacks
from tierlab.simulator.serving.decodetable import decodes_lack
from tierlab.simulator.serving.densetable import part_of
from tierlab.simulator.serving.engine.keeping import kept
from tierlab.simulator.serving.engine.state import SOURCES, STEPS, Core
from tierlab.simulator.serving.lookup import along, finish, over, value
from tierlab.simulator.serving.together import QUERIES, SOURCE, attention_s

Floats = NDArray[np.float64]
DECODE, DENSE, CHUNK, WORKS = range(4)
PLACES = 1 << 40
"""`MISSING` is one of these tables times `PLACES`, plus a place in it."""


class OpClock(NamedTuple):
    """Seconds by source; what was not asked for yet is not filled in.

    Attributes
    ----------
    keys, queries, spreads
        Nodes of the tables: keys before a chunk or of a decode, tokens of a chunk, and how far
        the longest context of a batch exceeds their mean.
    dense, dense_known
        float64[SOURCES, tokens + 1], of steps with prefill; uint8[parts].
    head, alone
        float64[sequences + 1, SOURCES]: logits and sampling; what decodes alone take beside
        attention.
    decode, decode_known
        float64[sequences + 1, spreads, SOURCES, keys]; uint8[groups, pairs of spreads, parts].
    works, works_known
        float64[sequences + 1, 1, SOURCES, keys], what policies run beside a batch of decodes, by
        the tokens that were kept, and uint8[sequences + 1]; no length where they run nothing.
    chunk, ending, chunk_known, once
        float64[SOURCES, queries, keys], of a chunk and of a prompt's last; uint8[parts, parts];
        float64[SOURCES], what of it all chunks of a step share.
    together, rules
        float64[3, keys] and float64[rules], what decodes cost in a launch with chunks
        (`serving.together`); no rules where they have their own.
    before, beside
        float64[sequences + 1], the host's work before the device and beside it.
    launch, launch_alone
        float64[tokens + 1], launching a step with prefill; float64[sequences + 1], decodes alone.
    """

    keys: Floats
    queries: Floats
    spreads: Floats
    dense: Floats
    dense_known: NDArray[np.uint8]
    head: Floats
    alone: Floats
    decode: Floats
    decode_known: NDArray[np.uint8]
    works: Floats
    works_known: NDArray[np.uint8]
    chunk: Floats
    ending: Floats
    chunk_known: NDArray[np.uint8]
    once: Floats
    together: Floats
    rules: Floats
    before: Floats
    beside: Floats
    launch: Floats
    launch_alone: Floats


def decode_seconds(clock: OpClock, core: Core) -> int:
    """Write the durations of `STEPS` steps of a batch of decodes; return what is missing, or -1."""
    batch, steps = core.batch.number[0], core.reg[STEPS]
    for source in range(SOURCES):
        for i in range(steps):
            core.by_source[source, i] = clock.alone[batch, source]
    lacks = _add_decodes(clock, core, batch, steps)
    if lacks >= 0:
        return lacks
    beside = clock.beside[batch] + clock.launch_alone[batch]
    finish(core.by_source, core.seconds, steps, clock.before[batch], beside)
    return -1


def _add_decodes(clock: OpClock, core: Core, batch: int, steps: int) -> int:
    """Add the attention of a batch of decodes to the durations; return what is missing, or -1."""
    if len(core.kept.keys):
        return _add_kept_decodes(clock, core, batch, steps)
    total, longest = 0, 0
    for i in range(batch):
        keys = core.r.computed[core.batch.decodes[i]] + 1
        total += keys
        longest = max(longest, keys)
    mean = total / batch
    spread = nearest(clock.spreads, longest / mean - 1.0)
    lacks = decodes_lack(clock.decode_known, clock.keys, batch, spread, mean, mean + steps - 1)
    if lacks >= 0:
        return DECODE * PLACES + lacks
    for source in range(SOURCES):
        along(clock.keys, clock.decode, (batch, spread, source), mean, steps, core.by_source)
    return -1


def _add_kept_decodes(clock: OpClock, core: Core, batch: int, steps: int) -> int:
    """Add it where they read other than their contexts, and what policies run beside it.

    What is read need not grow with every token, so each step is looked up by itself.
    """
    if len(clock.works) and not clock.works_known[batch]:
        return WORKS * PLACES + batch
    spread = -1
    for i in range(steps):
        keys, stays, longest = 0.0, 0, 0.0
        for j in range(batch):
            row = core.batch.decodes[j]
            one = kept(core, row, core.r.computed[row] + 1 + i)
            stays += one
            keys += core.kept.keys[one]
            longest = max(longest, core.kept.keys[one])
        mean = keys / batch
        if spread < 0:
            spread = nearest(clock.spreads, longest / mean - 1.0)
        lacks = decodes_lack(clock.decode_known, clock.keys, batch, spread, mean, mean)
        if lacks >= 0:
            return DECODE * PLACES + lacks
        for source in range(SOURCES):
            took = value(clock.keys, clock.decode, (batch, spread, source), mean)
            if len(clock.works):
                took += value(clock.keys, clock.works, (batch, 0, source), stays / batch)
            core.by_source[source, i] += took
    return -1


def mixed_seconds(clock: OpClock, core: Core) -> int:
    """Write the duration of one step of chunks beside decodes; return what is missing, or -1."""
    batch, decodes = core.batch, core.batch.number[0]
    chunks = batch.number[1]
    tokens, sequences = decodes, decodes + chunks
    for i in range(chunks):
        tokens += batch.tokens[i]
        past = core.r.computed[batch.chunks[i]]
        lacks = chunk_lacks(clock.chunk_known, clock.queries, clock.keys, batch.tokens[i], past)
        if lacks >= 0:
            return CHUNK * PLACES + lacks
    if not clock.dense_known[part_of(tokens)]:
        return DENSE * PLACES + part_of(tokens)
    shares = decodes > 0 and len(clock.rules) > 0 and len(core.kept.keys) == 0
    shared = int(clock.rules[SOURCE]) if shares else -1
    for source in range(SOURCES):
        took = 0.0
        for i in range(chunks):
            row, new = batch.chunks[i], batch.tokens[i]
            past = core.r.computed[row]
            ends = past + new == core.r.input_tokens[row] + core.r.generated[row]
            table = clock.ending if ends else clock.chunk
            took += over(clock.queries, clock.keys, table, source, new, past)
        took -= (chunks - 1) * clock.once[source]
        if source == shared:
            took = _together(clock, core, took, clock.once[source])
        took += clock.dense[source, tokens] + clock.head[sequences, source]
        core.by_source[source, 0] = took
    if decodes and not shares:
        lacks = _add_decodes(clock, core, decodes, core.reg[STEPS])
        if lacks >= 0:
            return lacks
    beside = clock.beside[sequences] + clock.launch[tokens]
    finish(core.by_source, core.seconds, core.reg[STEPS], clock.before[sequences], beside)
    return -1


def _together(clock: OpClock, core: Core, chunks: float, once: float) -> float:
    """Return the attention of chunks and decodes in one launch."""
    batch, tiles, most = core.batch, 0.0, 0.0
    for i in range(batch.number[1]):
        mine = ceil(batch.tokens[i] / clock.rules[QUERIES])
        tiles += mine
        most = max(most, mine)
    decodes, total, longest = batch.number[0], 0.0, 0.0
    for i in range(decodes):
        seen = core.r.computed[batch.decodes[i]] + 1.0
        total += seen
        longest = max(longest, seen)
    mean = total / decodes
    lines, rules = clock.together, clock.rules
    return attention_s(clock.keys, lines, rules, chunks, once, tiles, most, decodes, mean, longest)
