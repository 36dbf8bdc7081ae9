"""Interpolation in tables of step times: what a step asks for, hundreds of thousands of times.

Plain functions over arrays, compiled when they are first called (`lookups`) or into the loop of a
replica.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.binding import Binder, Compiled
from tierlab.simulator.serving.axis import below, nearest
from tierlab.simulator.serving.together import QUERIES, SOURCE, attention_s

Floats = NDArray[np.float64]
PER_OCTAVE = 8
WAITING = 0
"""The source that seconds without a kernel count to: the host's costs are no measurement of this
machine, so `datasheet`."""


def nodes(most: int) -> Floats:
    """Return 0, 1, ... and on to `most` or beyond, at least `PER_OCTAVE` nodes an octave."""
    octaves = int(np.ceil(np.log2(max(most, 2)))) + 1
    steps = np.round(2.0 ** (np.arange(octaves * PER_OCTAVE + 1) / PER_OCTAVE))
    return np.unique(np.concatenate([[0.0], steps]))


@dataclass(frozen=True)
class Lookups:
    """Compiled `decode_times` and `mixed_times`."""

    decode_times: Compiled
    mixed_times: Compiled


@cache
def lookups() -> Lookups:
    """Return them."""
    binder = Binder(inline=False)
    return Lookups(binder.entry(decode_times), binder.entry(mixed_times))


def decode_times(
    keys: Any,
    spreads: Any,
    lines: Any,
    fixed: Any,
    host: Any,
    kv_len: Any,
    by_source: Any,
    seconds: Any,
) -> None:
    """Write the durations of consecutive decode steps of one batch.

    Parameters
    ----------
    keys, spreads
        Nodes of the table.
    lines
        float64[1, spreads, sources, keys], attention of this batch.
    fixed
        float64[sources], what does not depend on lengths.
    host
        float64[2], seconds before the device and beside it.
    kv_len
        int64[batch].
    by_source, seconds
        float64[sources, steps], float64[steps].
    """
    for source in range(len(by_source)):
        for i in range(len(seconds)):
            by_source[source, i] = fixed[source]
    _add_decodes(keys, spreads, lines, kv_len, by_source)
    finish(by_source, seconds, len(seconds), host[0], host[1])


def mixed_times(
    queries: Any,
    keys: Any,
    chunk: Any,
    once: Any,
    q_len: Any,
    kv_len: Any,
    beside: Any,
    rules: Any,
    spreads: Any,
    lines: Any,
    fixed: Any,
    host: Any,
    decodes: Any,
    by_source: Any,
    seconds: Any,
) -> None:
    """Write the duration of one step of chunks beside decodes.

    Parameters
    ----------
    chunk
        float64[sources, queries, keys], attention of one chunk over its tokens and the keys
        before it.
    once
        float64[sources], what of it is the kernels' own cost: one kernel serves all chunks.
    beside, rules
        What decodes cost in the chunks' launch (`together`); no rules where they have their own.
    """
    shared = int(rules[SOURCE]) if len(rules) and len(decodes) else -1
    for source in range(len(by_source)):
        took = 0.0
        for i in range(len(q_len)):
            took += over(queries, keys, chunk, source, q_len[i], kv_len[i] - q_len[i])
        took -= (len(q_len) - 1) * once[source]
        if source == shared:
            took = _together(keys, beside, rules, took, once[source], q_len, decodes)
        by_source[source, 0] = fixed[source] + took
    if len(decodes) and shared < 0:
        _add_decodes(keys, spreads, lines, decodes, by_source)
    finish(by_source, seconds, 1, host[0], host[1])


def _together(
    keys: Any, beside: Any, rules: Any, chunks: float, once: float, q_len: Any, decodes: Any
) -> float:
    tiles, most = 0.0, 0.0
    for i in range(len(q_len)):
        mine = ceil(q_len[i] / rules[QUERIES])
        tiles += mine
        most = max(most, mine)
    total, longest = 0.0, 0.0
    for i in range(len(decodes)):
        total += decodes[i]
        longest = max(longest, decodes[i])
    count = len(decodes)
    mean = total / count
    return attention_s(keys, beside, rules, chunks, once, tiles, most, count, mean, longest)


def _add_decodes(keys: Any, spreads: Any, lines: Any, kv_len: Any, by_source: Any) -> None:
    total, longest = 0.0, 0.0
    for i in range(len(kv_len)):
        total += kv_len[i]
        longest = max(longest, kv_len[i])
    mean = total / len(kv_len)
    spread = nearest(spreads, longest / mean - 1.0)
    for source in range(len(by_source)):
        along(keys, lines, (0, spread, source), mean, by_source.shape[1], by_source)


def finish(by_source: Any, seconds: Any, steps: int, before: float, beside: float) -> None:
    """Let the host be `before` the device and `beside` it; write how long the steps last."""
    for i in range(steps):
        device = 0.0
        for source in range(len(by_source)):
            device += by_source[source, i]
        lasts = before + max(device, beside)
        by_source[WAITING, i] += lasts - device
        seconds[i] = lasts


def along(
    axis: Any, lines: Any, line: tuple[int, int, int], start: float, steps: int, by_source: Any
) -> None:
    """Add a table's line at start, start + 1, ..., linear between nodes, to the durations."""
    batch, spread, source = line
    at, last = below(axis, start), len(axis) - 2
    for i in range(steps):
        x = start + i
        while at < last and x >= axis[at + 1]:
            at += 1
        share = (x - axis[at]) / (axis[at + 1] - axis[at])
        low, high = lines[batch, spread, source, at], lines[batch, spread, source, at + 1]
        by_source[source, i] += low + share * (high - low)


def value(axis: Any, lines: Any, line: tuple[int, int, int], x: float) -> float:
    """Return a table's line at x, linear between nodes."""
    batch, spread, source = line
    at = below(axis, x)
    share = (x - axis[at]) / (axis[at + 1] - axis[at])
    low: float = lines[batch, spread, source, at]
    return low + share * (lines[batch, spread, source, at + 1] - low)


def over(xs: Any, ys: Any, grid: Any, source: int, x: float, y: float) -> float:
    """Return a source's grid at a point, bilinear between its nodes."""
    a, b = below(xs, x), below(ys, y)
    u = (x - xs[a]) / (xs[a + 1] - xs[a])
    v = (y - ys[b]) / (ys[b + 1] - ys[b])
    low = grid[source, a, b] + v * (grid[source, a, b + 1] - grid[source, a, b])
    high = grid[source, a + 1, b] + v * (grid[source, a + 1, b + 1] - grid[source, a + 1, b])
    value: float = low + u * (high - low)
    return value
