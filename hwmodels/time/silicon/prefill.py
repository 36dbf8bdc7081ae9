"""Prefill attention: causal tiles over SMs, their tail, splits, memory and L2, launch.

Engines first store the chunk's keys and values in the cache (`append`), which the public tables
include. A tile is some rows of queries against blocks of keys (`_tile`). The schedules:

- ``packed``: the query heads of a KV head are rows of one tile, and short grids split the keys,
  as FlashAttention 3 does (`flash3`);
- ``packed_whole``: the same, keys never split;
- ``heads``: each query head has its own tiles (FlashAttention 2);
- ``hopper``, ``blackwell``, ``chunked``, ``ada``: FlashAttention 3 as vLLM's fork runs it,
  TensorRT-LLM's, FlashInfer's and FlashAttention 2's kernels tile by tile, and the `call` as a
  whole: in fits of one kernel of that name;
- ``flash2``: ``heads`` in tiles of 64 queries, as the splitting kernel has that paged caches take;
- ``trtllm``: ``heads`` as well, with blocks of 128 keys;
- ``flash3``, ``flashinfer``: ``packed``; all four with what else their kernels cost (`engines`);
- ``engine``: of these four, what vLLM runs on a machine.

A block takes the tensor cores' time and the softmax's, which an SM's other units need whatever the
rate of its tensor cores: constants of an A100 or RTX PRO 6000 so hold on a card with a quarter of
the one's rate and half of the other's. One set that stands for several kernels (``engine``) leaves
it in the share of the peak: what they hide of it differs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon import call, chunked, engines, flash2, flash3, hopper
from tierlab.hwmodels.time.silicon.grid import Grid
from tierlab.hwmodels.time.silicon.kernel import (
    ENGINE,
    HEAD_DIMS,
    Floats,
    Kernel,
    Parameter,
    Values,
    by_head_dim,
    miss_share,
    query_sizes,
    reach,
    rounding,
    soft_max,
    store_waves,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.attention import visible_keys, visible_pairs
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(8.0, 0.5, 80.0, "before any work, us"),
    "wide_us": Parameter(0.1, 1e-3, 10.0, "per doubling of the tiles that the SMs share, us"),
    "split_us": Parameter(2.0, 0.01, 20.0, "the pass that combines splits, us"),
    "pass_us": Parameter(2.0, 0.3, 8.0, "a small kernel before or after, us"),
    "window_us": Parameter(1.0, 1e-3, 20.0, "where a window binds, us"),
    "window_tile": Parameter(0.2, 1e-3, 5.0, "how much more a tile takes then, 1"),
    "edge": Parameter(0.9, 0.01, 3.0, "of a tile's masked corner, what is computed, 1"),
    "tail": Parameter(0.3, 0.01, 2.0, "of the longest tile, what the last SM adds, 1"),
    "overlap": Parameter(0.6, 0.02, 1.5, "of a tile's fixed cost, what later waves pay, 1"),
    "store_us": Parameter(2.5, 0.05, 30.0, "a wave of tokens stored in the cache first, us"),
    "store_full": Parameter(0.2, 1e-3, 2.0, "how much longer it takes with blocks of 512, 1"),
    "store": Parameter(1.0, 0.02, 20.0, "traffic of that, 1"),
    "alone_tile": Parameter(1.0, 0.05, 5.0, "of a tile's fixed cost, the same, 1"),
    "gather": Parameter(0.1, 1e-3, 2.0, "more for groups that TMA does not pack, 1"),
    "odd": Parameter(0.05, 1e-3, 1.0, "how much longer with groups of no power of two, 1"),
    "whole": Parameter(0.5, 1e-3, 1.0, "how whole waves are: 1 for tiles that start together"),
    "l2_share": Parameter(0.8, 0.2, 2.0, "of the L2, what the inputs may fill, 1"),
    "l2_sharp": Parameter(4.0, 1.0, 12.0, "how sharply it overflows, 1"),
    "hbm_eff": Parameter(0.9, 0.3, 1.05, "of the memory's bandwidth, 1"),
    "l2_speed": Parameter(2.0, 0.3, 8.0, "L2's bandwidth over the memory's, 1"),
    "power": Parameter(2.0, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
    "heat": Parameter(0.1, 1e-3, 0.6, "what sustained work adds as clocks fall, 1"),
    "heat_ms": Parameter(5.0, 0.5, 30.0, "work after which they have mostly fallen, ms"),
    "vector": Parameter(0.15, 1e-3, 1.0, "softmax of a score, cycles of an SM", absent=0.0),
    **{f"peak{d}": Parameter(0.8, 0.05, 1.5, "of the peak, 1") for d in HEAD_DIMS},
    **{f"tile{d}": Parameter(1500.0, 10.0, 80000.0, "a tile, ns") for d in HEAD_DIMS},
    **call.PARAMETERS,
}


_SPLITS = ("packed", "flash3", "flashinfer")
_PACKED = (*_SPLITS, "packed_whole", hopper.NAME, chunked.NAME)


@once
def _tile(ops: OpTable, schedule: str) -> tuple[Floats, Floats]:
    """Return the rows and keys of a tile, both [n].

    Where heads are not packed: 128 x 128, 64 keys for heads over 64 wide (FlashAttention 2's
    ``flash_fwd_launch_template.h``).
    """
    if schedule in call.SCHEDULES:
        return call.tile(schedule, ops)
    if schedule in _PACKED:
        return flash3.tile(ops)
    if schedule == "flash2":
        return np.full(len(ops), 64.0), flash2.keys_of_block(ops)
    narrow = (ops["head_dim"] > 64) & (schedule != "trtllm")
    return np.full(len(ops), 128.0), np.where(narrow, 64.0, 128.0)


@once
def _grid(ops: OpTable, sms: float, schedule: str, p: Values) -> Grid:
    """Return the tiles, blocks of the longest and of all, and splits of each tile."""
    if schedule in call.SCHEDULES:
        return call.grid(schedule, ops, sms)
    group = ops["heads"] / ops["kv_heads"] if schedule in _PACKED else np.ones(len(ops))
    high, wide = _tile(ops, schedule)
    span = np.minimum(high / group, ops["q_len"])
    heads = ops["batch"] * ops["heads"] / group
    tiles = heads * np.ceil(ops["q_len"] * group / high)
    mean_keys = visible_pairs(ops) / ops["q_len"]
    keys, binds = reach(ops)
    per_tile = mean_keys + p["edge"] * _ends(ops, span, wide)
    longest = np.ceil((keys + binds * span) / wide)
    splits = flash3.splits(ops, sms) if schedule in _SPLITS else np.ones(len(ops))
    longest = np.maximum(np.ceil(longest / splits), 1.0)
    return Grid(tiles, longest, tiles * per_tile / wide, splits, high * wide)


def _ends(ops: OpTable, span: Floats, wide: Floats) -> Floats:
    """Return the keys that a tile of `span` queries loads in the mean beyond those it needs.

    Its last key falls on any multiple of the common divisor in a block; behind a window its first
    key does so too.
    """
    whole = span == np.floor(span)
    step = np.where(whole, np.gcd(span.astype(np.int64), wide.astype(np.int64)), 1.0)
    behind = np.where(ops["window"] > 0, np.maximum(1.0 - ops["window"] / ops["kv_len"], 0.0), 0.0)
    ends: Floats = (span + wide - step) * (1.0 + behind) / 2.0
    return ends


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    if schedule in call.SCHEDULES:
        return call.seconds(schedule, ops, machine, p)
    several, schedule = schedule == ENGINE, engines.resolved(schedule, ops, machine)
    costs = engines.costs(schedule, ops, machine)
    grid = _grid(ops, machine.sms, schedule, p)
    binds = reach(ops)[1] * costs.windows
    waves = grid.tiles * grid.splits / machine.sms
    last = _last(grid, waves, schedule, p) * grid.longest
    busiest = np.maximum(grid.longest, grid.total / machine.sms + last)
    blocks = np.where(waves <= 1.0, grid.longest, busiest)
    dim = ops["head_dim"]
    flops = 4.0 * grid.area * dim
    block_s = flops * machine.sms / machine.peak("bf16") / by_head_dim(dim, p, "peak")
    softmax = 0.0 if several else costs.softmax
    block_s = block_s + grid.area * (p["vector"] * softmax / machine.clock_hz)
    fixed_ns = costs.slow * by_head_dim(dim, p, "tile") * (1.0 + p["window_tile"] * binds)
    whole = np.maximum(waves + p["whole"] * (np.ceil(waves) - waves), 1.0)
    fixed_ns = fixed_ns * (1.0 + p["overlap"] * (whole - 1.0))
    group = np.log2(ops["heads"] / ops["kv_heads"])
    fixed_ns = fixed_ns * np.where(group > 0, 1.0, p["alone_tile"])
    if schedule.startswith("packed"):
        fixed_ns = fixed_ns * np.where(flash3.packs_by_tma(ops), 1.0, 1.0 + p["gather"])
    compute_s = blocks * block_s * (1.0 + p["odd"] * (group != np.round(group)))
    compute_s = compute_s + fixed_ns * 1e-9
    work_s = soft_max(compute_s, _memory_s(ops, machine, p), p["power"])
    work_s = work_s * (1.0 + p["heat"] * (1.0 - np.exp(-work_s / (p["heat_ms"] * 1e-3))))
    work_s = work_s + _store_s(ops, machine, p) + costs.quantised * _queries_s(ops, machine, p)
    combine = costs.combine * p["split_us"] * (grid.splits > 1)
    launch_us = p["launch_us"] + p["pass_us"] * costs.passes + combine
    start_us = costs.slow * launch_us + p["window_us"] * binds
    start_us = start_us + p["wide_us"] * np.log2(np.minimum(machine.sms, grid.tiles))
    total: Floats = work_s + start_us * 1e-6
    return total


def _last(grid: Grid, waves: Floats, schedule: str, p: Values) -> Floats:
    """Return what the last SM has beyond the mean, of the longest tile, float64[n].

    FlashAttention 2 hands out tiles in order: tiles as long as each other, as behind a long past,
    make whole waves.
    """
    tail: Floats = p["tail"] * (1.0 - np.minimum(1.0, grid.splits / waves))
    if schedule != "flash2":
        return tail
    each = np.minimum(grid.total / (grid.tiles * grid.longest), 1.0)
    unlike = np.minimum(2.0 * (1.0 - each), 1.0)
    return unlike * tail + (1.0 - unlike) * p["whole"] * (np.ceil(waves) - waves) * each


@once
def _store_s(ops: OpTable, machine: Machine, p: Values) -> Floats:
    stored = ops["batch"] * ops["q_len"] * ops["kv_heads"] * ops["head_dim"] * 6.0
    full = ops["kv_heads"] * ops["head_dim"] >= 512.0
    wave_s = p["store_us"] * 1e-6 * np.where(full, 1.0 + p["store_full"], 1.0)
    total: Floats = store_waves(ops, machine) * wave_s + p["store"] * stored / machine.bytes_per_s
    return total


def _queries_s(ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return the time of one byte of each query element."""
    elements = ops["batch"] * ops["q_len"] * ops["heads"] * ops["head_dim"]
    passed: Floats = elements / (machine.bytes_per_s * p["hbm_eff"])
    return passed


@once
def _memory_s(ops: OpTable, machine: Machine, p: Values) -> Floats:
    row = ops["head_dim"] * 2.0
    cached = ops["batch"] * ops["kv_heads"] * visible_keys(ops) * row * DTYPE_BYTES[ops.kv_dtype]
    moved = cached + ops["batch"] * ops["q_len"] * ops["heads"] * row * 2.0
    miss = miss_share(moved, p["l2_share"] * machine.l2_bytes, p["l2_sharp"])
    per_byte: Floats = (miss / p["hbm_eff"] + 1.0 / p["l2_speed"]) / machine.bytes_per_s
    total: Floats = moved * per_byte
    return total


def _traffic(ops: OpTable, machine: Machine, schedule: str, p: Values) -> call.Traffic:
    """Return the times of attention's traffic and of storing."""
    if schedule in call.SCHEDULES:
        return call.traffic(schedule, ops, machine, p)
    return call.Traffic(_memory_s(ops, machine, p), _store_s(ops, machine, p))


@once
def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of queries, heads over the batch, head width, group, keys and work."""
    keys, binds = reach(ops)
    return {
        **query_sizes(ops),
        "past": np.log2(ops["kv_len"] / ops["q_len"]),
        "bound": np.where(binds, np.log2(keys) - 5.0, 0.0),
    }


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return what the kernel does with a shape: tiles, waves, tails, and each part's share."""
    schedule = engines.resolved(schedule, ops, machine)
    grid = _grid(ops, machine.sms, schedule, p)
    at = dict(coordinates(ops))
    memory_s, store_s = _traffic(ops, machine, schedule, p)
    high, _ = _tile(ops, schedule)
    rows = ops["q_len"] * (ops["heads"] / ops["kv_heads"] if schedule in _PACKED else 1.0)
    waves = grid.tiles * grid.splits / machine.sms
    return {
        **at,
        **(call.features(ops) if schedule in call.SCHEDULES else {}),
        "batch": np.log2(ops["batch"]),
        "heads": np.log2(ops["heads"]),
        "kv_heads": np.log2(ops["kv_heads"]),
        "window": np.log2(ops["window"] + 1.0),
        "seconds": np.log2(seconds),
        "waves": np.log2(waves),
        "waves_up": rounding(waves),
        "rows_up": rounding(rows / high),
        "longest": np.log2(grid.longest),
        "blocks": np.log2(grid.total / machine.sms),
        "splits": grid.splits,
        "loaded": np.log2(grid.total / grid.tiles),
        "by_tma": flash3.packs_by_tma(ops).astype(np.float64),
        "stored": np.log2(store_waves(ops, machine)),
        "row": np.log2(ops["kv_heads"] * ops["head_dim"]),
        "store_share": store_s / seconds,
        "memory_share": memory_s / seconds,
    }


PREFILL = Kernel(
    "prefill_attention",
    ("packed", "packed_whole", "heads", *call.SCHEDULES, *engines.NAMES, ENGINE),
    PARAMETERS,
    seconds,
    coordinates,
    features,
    call.MARKS,
)
