"""How long steps take by a profile of whole steps (`hwmodels.time.profile`).

Several chunks in one step share its kernel: the profile knows one chunk, so they count as one chunk
of all their tokens after the mean of their keys, weighted by tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.serving.engine.state import SOURCES, STEPS, Core
from tierlab.simulator.serving.lookup import below, finish

Floats = NDArray[np.float64]
CALIBRATED = 1
"""Where the durations come from: place in `hwmodels.time.times.SOURCES`."""


class ProfileClock(NamedTuple):
    """Curves and the grid of a profile.

    Attributes
    ----------
    dense_at, dense, head_at, head
        Seconds over counts of tokens, and of sequences.
    chunks, past, decodes, keys
        Nodes of the grid.
    attention
        float64[chunks, past, decodes, keys].
    before, beside, launch, launch_alone
        The host's share, as `opclock.OpClock` has it.
    """

    dense_at: Floats
    dense: Floats
    head_at: Floats
    head: Floats
    chunks: Floats
    past: Floats
    decodes: Floats
    keys: Floats
    attention: Floats
    before: Floats
    beside: Floats
    launch: Floats
    launch_alone: Floats


def decode_seconds(clock: ProfileClock, core: Core) -> int:
    """Write the durations of `STEPS` steps of a batch of decodes; nothing is ever missing."""
    batch, steps = core.batch.number[0], core.reg[STEPS]
    fixed = _curve(clock.dense_at, clock.dense, batch) + _curve(clock.head_at, clock.head, batch)
    mean = _mean_keys(core, batch)
    for i in range(steps):
        _write(core, i, fixed + _attention(clock, 0.0, 0.0, batch, mean + i))
    beside = clock.beside[batch] + clock.launch_alone[batch]
    finish(core.by_source, core.seconds, steps, clock.before[batch], beside)
    return -1


def mixed_seconds(clock: ProfileClock, core: Core) -> int:
    """Write the duration of one step of chunks beside decodes; nothing is ever missing."""
    batch, chunks = core.batch.number[0], core.batch.number[1]
    tokens, before = 0, 0.0
    for i in range(chunks):
        tokens += core.batch.tokens[i]
        before += core.r.computed[core.batch.chunks[i]] * core.batch.tokens[i]
    took = _curve(clock.dense_at, clock.dense, tokens + batch)
    took += _curve(clock.head_at, clock.head, chunks + batch)
    keys = _mean_keys(core, batch) if batch else 0.0
    _write(core, 0, took + _attention(clock, tokens, before / tokens, batch, keys))
    sequences = batch + chunks
    beside = clock.beside[sequences] + clock.launch[tokens + batch]
    finish(core.by_source, core.seconds, core.reg[STEPS], clock.before[sequences], beside)
    return -1


def _mean_keys(core: Core, batch: int) -> float:
    total = 0
    for i in range(batch):
        total += core.r.computed[core.batch.decodes[i]] + 1
    return total / batch


def _write(core: Core, step: int, seconds: float) -> None:
    for source in range(SOURCES):
        core.by_source[source, step] = seconds if source == CALIBRATED else 0.0


def _curve(counts: Any, seconds: Any, x: float) -> float:
    """Return a curve at x: linear between points, in proportion beyond the last."""
    last = len(counts) - 1
    if x <= counts[0]:
        return seconds[0]
    if x >= counts[last]:
        return seconds[last] + (x - counts[last]) * seconds[last] / counts[last]
    at = below(counts, x)
    share = (x - counts[at]) / (counts[at + 1] - counts[at])
    return seconds[at] + share * (seconds[at + 1] - seconds[at])


def _attention(
    clock: ProfileClock, chunk: float, past: float, decodes: float, keys: float
) -> float:
    """Return the grid at a point: multilinear between its nodes, clamped at its edges."""
    a, u = below(clock.chunks, chunk), _share(clock.chunks, chunk)
    b, v = below(clock.past, past), _share(clock.past, past)
    c, w = below(clock.decodes, decodes), _share(clock.decodes, decodes)
    d, z = below(clock.keys, keys), _share(clock.keys, keys)
    total = 0.0
    for i in range(2):
        for j in range(2):
            for k in range(2):
                weight = (u if i else 1.0 - u) * (v if j else 1.0 - v) * (w if k else 1.0 - w)
                low = clock.attention[a + i, b + j, c + k, d]
                high = clock.attention[a + i, b + j, c + k, d + 1]
                total += weight * (low + z * (high - low))
    return total


def _share(axis: Any, x: float) -> float:
    inside = min(max(x, axis[0]), axis[len(axis) - 1])
    at = below(axis, inside)
    return (inside - axis[at]) / (axis[at + 1] - axis[at])
