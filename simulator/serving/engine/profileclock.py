"""How long steps take by a profile of whole steps (`hwmodels.time.profile`).

Several chunks in one step share its kernel: the profile knows one chunk, so they count as one chunk
of all their tokens after the mean of their keys, weighted by tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.serving.axis import below
from tierlab.simulator.serving.engine.state import SOURCES, STEPS, Core
from tierlab.simulator.serving.lookup import finish

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
    ragged_chunks, ragged_decodes, ragged_keys, beyond, ragged
        Nodes, and float64 over them: what batches of unlike lengths take of it.
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
    ragged_chunks: Floats
    ragged_decodes: Floats
    ragged_keys: Floats
    beyond: Floats
    ragged: Floats
    before: Floats
    beside: Floats
    launch: Floats
    launch_alone: Floats


def decode_seconds(clock: ProfileClock, core: Core) -> int:
    """Write the durations of `STEPS` steps of a batch of decodes; nothing is ever missing."""
    batch, steps = core.batch.number[0], core.reg[STEPS]
    fixed = _curve(clock.dense_at, clock.dense, batch) + _curve(clock.head_at, clock.head, batch)
    mean, longest = _mean_keys(core, batch), _longest_keys(core, batch)
    uneven = _ragged(clock, 0.0, batch, mean, longest)
    for i in range(steps):
        _write(core, i, fixed + uneven * _attention(clock, 0.0, 0.0, batch, mean + i))
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
    keys, uneven = 0.0, 1.0
    if batch:
        keys = _mean_keys(core, batch)
        uneven = _ragged(clock, tokens, batch, keys, _longest_keys(core, batch))
    took += uneven * _attention(clock, tokens, before / tokens, batch, keys)
    _write(core, 0, took)
    sequences = batch + chunks
    beside = clock.beside[sequences] + clock.launch[tokens + batch]
    finish(core.by_source, core.seconds, core.reg[STEPS], clock.before[sequences], beside)
    return -1


def _mean_keys(core: Core, batch: int) -> float:
    total = 0
    for i in range(batch):
        total += core.r.computed[core.batch.decodes[i]] + 1
    return total / batch


def _longest_keys(core: Core, batch: int) -> float:
    longest = 0
    for i in range(batch):
        longest = max(longest, core.r.computed[core.batch.decodes[i]] + 1)
    return longest


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
    axes = clock.chunks, clock.past, clock.decodes, clock.keys
    return _at(axes, clock.attention, (chunk, past, decodes, keys))


def _ragged(
    clock: ProfileClock, chunk: float, decodes: float, mean: float, longest: float
) -> float:
    if len(clock.beyond) == 0:
        return 1.0
    axes = clock.ragged_chunks, clock.ragged_decodes, clock.ragged_keys, clock.beyond
    return _at(axes, clock.ragged, (chunk, decodes, mean, longest / mean - 1.0))


def _at(axes: Any, grid: Any, point: Any) -> float:
    """Return a grid of four axes at a point: multilinear, clamped at its edges."""
    a, u = below(axes[0], point[0]), _share(axes[0], point[0])
    b, v = below(axes[1], point[1]), _share(axes[1], point[1])
    c, w = below(axes[2], point[2]), _share(axes[2], point[2])
    d, z = below(axes[3], point[3]), _share(axes[3], point[3])
    total = 0.0
    for i in range(2):
        for j in range(2):
            for k in range(2):
                weight = (u if i else 1.0 - u) * (v if j else 1.0 - v) * (w if k else 1.0 - w)
                low, high = grid[a + i, b + j, c + k, d], grid[a + i, b + j, c + k, d + 1]
                total += weight * (low + z * (high - low))
    return total


def _share(axis: Any, x: float) -> float:
    inside = min(max(x, axis[0]), axis[len(axis) - 1])
    at = below(axis, inside)
    return (inside - axis[at]) / (axis[at + 1] - axis[at])
