"""vLLM's attention in Triton, for heads that no other backend takes with an 8-bit cache.

From `triton_unified_attention.py` and `triton_attn.py` (Apache-2.0, 0.24):

- the query heads of a KV head and some queries make tiles of 16 rows, or of a power of two that
  holds a group; a step of a CTA's loop takes 32 keys, of decodes in segments 16
  (``_get_tile_size``: by the bytes of a *query* element);
- decodes are cut in 16 segments until there are 128 sequences times KV heads
  (`MIN_LAUNCH_GRID_SIZE_2D`, `NUM_PAR_SOFTMAX_SEGMENTS`), each a whole number of steps, so that
  short sequences fill the first segments only; the others' CTAs end at once. Another kernel
  reduces the segments, a CTA for each token and head;
- a window leaves out steps, not segments;
- the grid has room for a part of a tile more a sequence; these CTAs end at once, too.

Several CTAs share an SM: they take the longer of one's latency and of all their throughput. A grid
that is resident at once is dealt to the GPU's clusters alike, and those have not as many SMs each:
on the B200 256, 512 and 1,024 CTAs of one length take as long as on 128 of its 148 SMs, 2,048, of
which the later ones go where there is room, as on 143.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Memory,
    Parameter,
    Values,
    reach,
    rounding,
    soft_max,
    through_l2,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.named import both, longest_of
from tierlab.kernels.ops.attention import visible_keys, visible_pairs
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

SCHEDULE = "unified"
MARK = "triton_attn"
"""What the names of these kernels hold."""
ROWS = 16.0
KEYS, KEYS_OF_SEGMENTS = 32.0, 16.0
"""Of one step; of segments with 8-bit queries 32 as well."""
WIDE = 256.0
"""Columns of a step as its cost is stated: the next power of two over heads 192 wide."""
SEGMENTS, MOST_TILES = 16.0, 128.0
BLOCKS = 4.0
"""Tokens that an SM stores at once in an 8-bit cache, whatever their heads: an assumption, by the
public times (2026-11-21)."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(4.5, 0.5, 60.0, "before any work, us"),
    "wide_us": Parameter(0.1, 1e-3, 10.0, "per doubling of the CTAs that the SMs share, us"),
    "cta": Parameter(2000.0, 10.0, 80000.0, "of an SM, a CTA's start and end, cycles"),
    "ended": Parameter(700.0, 1.0, 20000.0, "of an SM, a CTA that ends at once, cycles"),
    "step": Parameter(1850.0, 10.0, 40000.0, "of an SM, 16 rows and 32 keys, cycles"),
    "wait": Parameter(2500.0, 10.0, 40000.0, "of a CTA, the same, cycles"),
    "half_step": Parameter(900.0, 10.0, 40000.0, "of an SM, 16 rows and 16 keys, cycles"),
    "half_wait": Parameter(1300.0, 10.0, 40000.0, "of a CTA, the same, cycles"),
    "far": Parameter(0.15, 1e-3, 2.0, "of a CTA, more where keys are not in L2, 1"),
    "scatter": Parameter(3.0, 0.01, 12.0, "CTAs beyond the mean, of the root, behind a window, 1"),
    "fill": Parameter(1000.0, 1.0, 20000.0, "of an SM, a segment of several steps, cycles"),
    "bare": Parameter(1500.0, 1.0, 20000.0, "of an SM, a segment outside the window, cycles"),
    "few": Parameter(2.5, 0.1, 9.0, "CTAs an SM to which one has as many as it may, 1"),
    "even": Parameter(0.9, 0.75, 1.0, "of the SMs, what a resident grid keeps busy, 1", 1.0),
    "resident": Parameter(8.0, 2.0, 20.0, "CTAs an SM up to which a grid is resident, 1", 8.0),
    "crowd": Parameter(4.0, 1.02, 9.0, "how well CTAs of an SM overlap: a norm, 1"),
    "reduce_us": Parameter(2.5, 0.01, 20.0, "the pass that reduces segments, us"),
    "reduced": Parameter(10.0, 1.0, 20000.0, "of an SM, a token and head of that, cycles"),
    "tail": Parameter(0.5, 0.01, 2.0, "of the longest tile, what the last SM adds, 1"),
    "store_us": Parameter(2.5, 0.01, 30.0, "a wave of tokens stored in the cache first, us"),
    "stored": Parameter(0.5, 0.01, 20.0, "traffic of that, 1"),
    "store": Parameter(1.0, 0.02, 20.0, "traffic of that, where it does not fit in L2, 1"),
    "miss_us": Parameter(2.0, 0.01, 30.0, "once the inputs do not fit in L2, us"),
    "hbm_eff": Parameter(0.85, 0.3, 1.05, "of the memory's bandwidth, 1"),
    "l2_speed": Parameter(2.0, 0.5, 8.0, "L2's bandwidth over the memory's, 1"),
    "l2_share": Parameter(0.9, 0.2, 2.0, "of the L2, what the inputs may fill, 1"),
    "l2_sharp": Parameter(6.0, 1.0, 12.0, "how sharply it overflows, 1"),
    "power": Parameter(3.0, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
    "heat": Parameter(0.05, 1e-3, 0.6, "what sustained work adds as clocks fall, 1"),
    "heat_ms": Parameter(5.0, 0.5, 30.0, "work after which they have mostly fallen, ms"),
}


class _Grid(NamedTuple):
    """CTAs of four kinds, and the steps of those that have any.

    Attributes
    ----------
    ctas, looped, bare, ended
        With steps; of them, of segments, those with several; segments whose keys are all outside
        the window; without keys.
    longest, mean
        Steps of a CTA.
    cut
        Segments of a sequence, 1 where it is not cut.
    """

    ctas: Floats
    looped: Floats
    bare: Floats
    ended: Floats
    longest: Floats
    mean: Floats
    cut: Floats


def segments(ops: OpTable) -> Floats:
    """Return the segments that a KV head of one decode is cut in, float64[n]."""
    few = ops["batch"] <= np.floor(MOST_TILES / ops["kv_heads"])
    return np.where(few & (ops["q_len"] <= 1), SEGMENTS, 1.0)


def rows(ops: OpTable) -> Floats:
    """Return the rows of a tile, float64[n]."""
    group = ops["heads"] / ops["kv_heads"]
    found: Floats = np.maximum(ROWS, np.exp2(np.ceil(np.log2(group))))
    return found


def _wide(ops: OpTable) -> Floats:
    """Return the columns of a tile, padded to a power of two, float64[n]."""
    found: Floats = np.exp2(np.ceil(np.log2(ops["head_dim"])))
    return found


def _grid(ops: OpTable) -> _Grid:
    cut = segments(ops)
    half = (cut > 1) & (DTYPE_BYTES[ops.dtype] >= 2.0)
    keys = np.where(half, KEYS_OF_SEGMENTS, KEYS)
    span = np.maximum(np.floor(rows(ops) * ops["kv_heads"] / ops["heads"]), 1.0)
    tiles = ops["batch"] * np.ceil(ops["q_len"] / span) * ops["kv_heads"]
    slots = (np.floor(ops["batch"] * ops["q_len"] / span) + ops["batch"]) * ops["kv_heads"]
    long = np.ceil(longest_of(ops) / keys)
    each = np.ceil(long / cut)
    active = np.ceil(long / each)
    reached, binds = reach(ops)
    within = np.minimum(span, ops["q_len"])
    seen = np.ceil(longest_of(ops) / keys) - np.floor(
        np.maximum(longest_of(ops) - reached - within + 1.0, 0.0) / keys
    )
    seen = np.where(binds, seen, long)
    step = np.gcd(within.astype(np.int64), keys.astype(np.int64))
    ends = (within + keys - step) * np.where(binds, 2.0, 1.0) / 2.0
    mean = (visible_pairs(ops) / ops["q_len"] + ends) / keys
    mean = np.where(ops["q_len"] > 1, np.minimum(mean, seen), seen)
    most = np.minimum(each, seen)
    with_steps = np.minimum(np.ceil(seen / each), active)
    looped = np.where((cut > 1) & (most > 1), tiles * with_steps, 0.0)
    return _Grid(
        tiles * with_steps, looped, tiles * (active - with_steps), slots * cut - tiles * active,
        most, mean / with_steps, cut,
    )  # fmt: skip


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    grid = _grid(ops)
    memory = _memory_s(ops, machine, grid, p)
    pace = _wide(ops) / WIDE
    work = soft_max(_busy_s(machine, grid, memory.miss, pace, p), memory.busy, p["power"])
    work = work * (1.0 + p["heat"] * (1.0 - np.exp(-work / (p["heat_ms"] * 1e-3))))
    stored = ops["batch"] * ops["q_len"] * ops["kv_heads"] * ops["head_dim"] * 6.0
    work = work + (p["stored"] + p["store"] * memory.miss) * stored / machine.bytes_per_s
    tokens = ops["batch"] * ops["q_len"] / (BLOCKS * machine.sms)
    start_us = p["launch_us"] + p["store_us"] * tokens
    start_us = start_us + p["miss_us"] * memory.miss
    start_us = start_us + p["wide_us"] * np.log2(np.minimum(machine.sms, grid.ctas))
    total: Floats = work + start_us * 1e-6 + _reduce_s(ops, machine, grid, p)
    return total


def _busy_s(machine: Machine, grid: _Grid, miss: Floats, pace: Floats, p: Values) -> Floats:
    step = np.where(grid.cut > 1, p["half_step"], p["step"]) * pace
    wait = np.where(grid.cut > 1, p["half_wait"], p["wait"]) * pace * (1.0 + p["far"] * miss)
    on_sm = np.maximum(grid.ctas / machine.sms, 1.0)
    slots = (grid.ctas + grid.bare + grid.ended) / machine.sms
    uneven = np.minimum(1.0, (p["few"] / slots) ** 2)
    two = (grid.ctas <= machine.sms) & (slots <= 2.0)
    uneven = np.where(two, 1.0, uneven)
    fullest = np.where(slots <= 1.0, 1.0, on_sm + uneven * (np.ceil(slots) - on_sm))
    more = np.minimum(1.0, (p["resident"] / on_sm) ** 2) * (1.0 / p["even"] - 1.0)
    fullest = np.where(on_sm > 1.0, np.maximum(fullest, on_sm * (1.0 + more)), fullest)
    scattered = (1.0 - uneven) * (grid.bare > 0) * np.sqrt(grid.ctas / machine.sms)
    fullest = fullest + p["scatter"] * scattered
    alone = grid.longest * wait
    unlike = np.minimum(4.0 * (1.0 - grid.mean / grid.longest), 1.0) * (grid.cut <= 1)
    last = unlike * p["tail"] * alone * (1.0 - 1.0 / on_sm)
    all_of = fullest * grid.mean * step + last
    loops = soft_max(alone, all_of, p["crowd"])
    starts = on_sm * p["cta"] + grid.ended / machine.sms * p["ended"]
    starts = starts + (grid.looped * p["fill"] + grid.bare * p["bare"]) / machine.sms
    found: Floats = (starts + loops) / machine.clock_hz
    return found


def _reduce_s(ops: OpTable, machine: Machine, grid: _Grid, p: Values) -> Floats:
    ctas = ops["batch"] * ops["q_len"] * ops["heads"]
    cycles = p["reduced"] * ctas / machine.sms
    took = p["reduce_us"] * 1e-6 + cycles / machine.clock_hz
    return np.where(grid.cut > 1, took, 0.0)


def _memory_s(ops: OpTable, machine: Machine, grid: _Grid, p: Values) -> Memory:
    """Partial sums of segments are rows of a power of two, of which all 16 are read."""
    dim = ops["head_dim"]
    row = 2.0 * dim * DTYPE_BYTES[ops.kv_dtype]
    cached = ops["batch"] * ops["kv_heads"] * visible_keys(ops) * row
    outputs = ops["batch"] * ops["q_len"] * ops["heads"]
    partial = np.where(grid.cut > 1, outputs * SEGMENTS * _wide(ops) * 4.0, 0.0)
    moved = cached + outputs * dim * 4.0 + partial
    given = ops["batch"] * ops["q_len"] * ops["kv_heads"] * dim * 4.0
    return through_l2(moved, moved + given, machine, p, p["l2_sharp"])


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return what the kernel does with a shape: CTAs, steps, and each part's share."""
    grid = _grid(ops)
    memory = _memory_s(ops, machine, grid, p)
    return {
        "seconds": np.log2(seconds),
        "batch": np.log2(ops["batch"]),
        "keys": np.log2(ops["kv_len"]),
        "queries": np.log2(ops["q_len"]),
        "ctas": np.log2(grid.ctas),
        "ctas_up": rounding(grid.ctas / machine.sms),
        "ended": np.log2(grid.ended + 1.0),
        "bare": np.log2(grid.bare + 1.0),
        "cut": grid.cut,
        "longest": np.log2(grid.longest),
        "mean": np.log2(grid.mean + 1e-3),
        "outputs": np.log2(ops["batch"] * ops["q_len"] * ops["heads"]),
        "tokens": np.log2(ops["batch"] * ops["q_len"]),
        "miss": memory.miss,
        "memory_share": memory.busy / seconds,
        "reduce_share": _reduce_s(ops, machine, grid, p) / seconds,
    }


DECODE, PREFILL = both(SCHEDULE, PARAMETERS, seconds, features)
