"""Decode attention: tiles over SMs, splits of the KV length, L2 and memory, launch.

A tile is one KV head of one sequence, with up to 64 of its query heads as rows. The schedules:

- ``fixed``: splits that fill two CTAs an SM to 85% (`engines.two_ctas`);
- ``none``: one CTA a tile, whatever the length;
- ``flash2``, ``flashinfer``, ``flash3``, ``trtllm``: as the sources of these kernels say
  (`engines`);
- ``engine``: of these four, what vLLM runs on a machine.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon import engines, flash2, flash3, flashinfer
from tierlab.hwmodels.time.silicon.alone import ALONE, ragged_s
from tierlab.hwmodels.time.silicon.kernel import (
    ENGINE,
    HEAD_DIMS,
    Floats,
    Kernel,
    Memory,
    Parameter,
    Values,
    by_head_dim,
    miss_share,
    reach,
    rounding,
    soft_max,
    soft_min,
    store_waves,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.hwmodels.time.silicon.uneven import even, of_longest
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

BLOCK = 128.0
"""Keys of one step of a CTA's loop."""
ROWS = 64.0
"""Query heads that one tile holds."""
MOST_SPLITS = 32.0
MARKS = {
    "flash2": "_fa2", "flash3": "_fa3", "flashinfer": flashinfer.MARK, "trtllm": "trtllmdecode"
}  # fmt: skip
"""Schedule -> what the names of its kernels hold; where none is told, all are tried."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(6.0, 0.5, 60.0, "before any work, us"),
    "wide_us": Parameter(0.1, 1e-3, 10.0, "per doubling of the tiles that the SMs share, us"),
    "split_us": Parameter(1.0, 0.01, 20.0, "the pass that combines splits, us"),
    "split_more": Parameter(0.1, 1e-3, 20.0, "how much more it takes with 32 splits, 1"),
    "pass_us": Parameter(2.0, 0.3, 8.0, "a small kernel before or after, us"),
    "miss_us": Parameter(2.0, 0.01, 20.0, "once the KV cache does not fit in L2, us"),
    "store_us": Parameter(1.0, 0.01, 30.0, "a wave of tokens stored in the cache first, us"),
    "window_us": Parameter(1.0, 1e-3, 20.0, "where a window binds, us"),
    "window_tile": Parameter(0.1, 1e-3, 5.0, "how much more a tile takes then, 1"),
    "l2_share": Parameter(0.9, 0.2, 2.0, "of the L2, what a KV cache may fill, 1"),
    "l2_sharp": Parameter(6.0, 1.0, 12.0, "how sharply it overflows, 1"),
    "hbm_eff": Parameter(0.9, 0.3, 1.05, "of the memory's bandwidth, 1"),
    "l2_speed": Parameter(1.5, 0.5, 8.0, "L2's bandwidth over the memory's, 1"),
    "sm_gbs": Parameter(60.0, 5.0, 500.0, "what one SM draws from memory, GB/s"),
    "sm_l2_gbs": Parameter(90.0, 5.0, 800.0, "what one SM draws from L2, GB/s"),
    "alone": ALONE,
    "ends": Parameter(1.0, 0.05, 20.0, "traffic of queries, outputs and partial sums, 1"),
    "whole": Parameter(0.5, 1e-3, 1.0, "how whole waves are: 1 for CTAs that start together"),
    "overlap": Parameter(0.5, 0.05, 1.5, "of a tile's fixed cost, what later waves pay, 1"),
    "many": Parameter(0.9, 0.3, 2.0, "the same past 992 sequences, 1"),
    "group": Parameter(0.1, 1e-3, 2.0, "more for a tile of 64 rows than of one, 1"),
    "power": Parameter(1.8, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
    **{f"tile{d}": Parameter(4000.0, 50.0, 80000.0, "a tile, cycles") for d in HEAD_DIMS},
    **{f"block{d}": Parameter(4.0 * d, 5.0, 20000.0, "a KV block, cycles") for d in HEAD_DIMS},
}


@once
def _grid(ops: OpTable, machine: Machine, schedule: str) -> engines.Cut:
    """Return tiles, KV blocks of each, and CTAs that share one."""
    if schedule in engines.NAMES:
        return engines.cut(schedule, ops, machine)
    keys, binds = reach(ops)
    tiles = ops["batch"] * ops["kv_heads"] * np.ceil(ops["heads"] / ops["kv_heads"] / ROWS)
    blocks = np.ceil(keys / BLOCK) + binds
    alone = schedule == "none"
    splits = np.ones(len(ops)) if alone else engines.two_ctas(tiles, blocks, machine.sms)
    return engines.Cut(tiles, blocks, splits, 1.0)


def _ragged(ops: OpTable, machine: Machine, schedule: str) -> tuple[engines.Cut, engines.Cut]:
    """Return how a batch is cut up, with the blocks of its mean and of its longest sequence.

    Where keys are not dealt out, all sequences are cut where the longest is.
    """
    grid = _grid(ops, machine, schedule)
    if not ops["kv_len_spread"].any():
        return grid, grid
    long = _grid(of_longest(ops), machine, schedule)
    if schedule == "flash3":
        return grid, long._replace(splits=flash3.splits(ops, machine.sms, longest=True))
    cut = np.maximum(long.splits * np.minimum(grid.blocks / long.blocks, 1.0), 1.0)
    return grid._replace(splits=cut), long


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    schedule = engines.resolved(schedule, ops, machine)
    batch, dim = ops["batch"], ops["head_dim"]
    binds = reach(ops)[1]
    group = ops["heads"] / ops["kv_heads"]
    costs = engines.costs(schedule, ops, machine)
    cut, longest = _ragged(ops, machine, schedule)
    tiles, blocks, splits, weight = cut
    waves = tiles * splits / machine.sms
    waves = np.maximum(1.0, waves + p["whole"] * (np.ceil(waves) - waves))
    memory_s = _memory_s(ops, machine, schedule, cut, p)
    later = np.where(batch > flash3.MOST_DYNAMIC, p["many"], 1.0) * p["overlap"] * (waves - 1.0)
    rows = flashinfer.large(group) if schedule == "flashinfer" else np.log2(group) / 6.0
    tile = by_head_dim(dim, p, "tile") * (1.0 + p["group"] * rows)
    fixed = (1.0 + later) * tile * (1.0 + p["window_tile"] * costs.windows * binds)
    loops = waves * np.ceil(blocks / splits) * by_head_dim(dim, p, "block") * weight
    work_s = soft_max(memory_s.busy, (fixed + loops) / machine.clock_hz, p["power"])
    if ops["kv_len_spread"].any():
        work_s += ragged_s(ops, machine, schedule, longest, *memory_s, p)
    combine = p["split_us"] * (splits > 1) * (1.0 + p["split_more"] * splits / MOST_SPLITS)
    launch_us = p["launch_us"] + p["pass_us"] * costs.passes + costs.combine * combine
    start_us = costs.slow * launch_us + p["wide_us"] * np.log2(np.minimum(machine.sms, tiles))
    extra_us = p["miss_us"] * memory_s.miss + p["window_us"] * costs.windows * binds
    store_us = p["store_us"] * store_waves(ops, machine)
    total: Floats = work_s + (start_us + extra_us + store_us) * 1e-6
    return total


@once
def _memory_s(ops: OpTable, machine: Machine, schedule: str, cut: engines.Cut, p: Values) -> Memory:
    keys, passes = flash2.read(ops) if schedule == "flash2" else (reach(ops)[0], 1.0)
    tiles, _, splits, _ = cut
    ctas, deep = tiles * splits, engines.costs(schedule, ops, machine).deep
    row = 2.0 * ops["head_dim"] * DTYPE_BYTES[ops.kv_dtype]
    cached = ops["batch"] * ops["kv_heads"] * keys * row
    partial = np.where(splits > 1, 4.0 * splits, 0.0)
    ends = ops["batch"] * ops["heads"] * ops["head_dim"] * 2.0 * (2.0 + partial)
    l2_bytes = p["l2_share"] * machine.l2_bytes
    again = miss_share(cached / ops["kv_heads"], l2_bytes, p["l2_sharp"])
    miss = miss_share(cached, l2_bytes, p["l2_sharp"]) / passes + again * (1.0 - 1.0 / passes)
    active = np.minimum(machine.sms, ctas) * deep
    rate = soft_min(p["hbm_eff"] * machine.bytes_per_s, active * p["sm_gbs"] * 1e9)
    l2_rate = soft_min(p["l2_speed"] * machine.bytes_per_s, active * p["sm_l2_gbs"] * 1e9)
    if schedule == "flashinfer":
        rate = rate / flashinfer.fetched(ops, ctas, machine.sms, l2_bytes, p["l2_sharp"])
    moved = passes * cached * (miss / rate + (1.0 - miss) / l2_rate)
    return Memory(moved + p["ends"] * ends / machine.bytes_per_s, miss)


@once
def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of tiles, keys, head width, group, cached bytes, batch, longest over mean."""
    keys, binds = reach(ops)
    tiles = np.log2(ops["batch"] * ops["kv_heads"])
    dim = np.log2(ops["head_dim"] / 64.0)
    length = np.log2(keys)
    return {
        "tiles": tiles,
        "keys": length,
        "dim": 2.0 * dim,
        "group": 2.0 * np.log2(ops["heads"] / ops["kv_heads"]),
        "cached": tiles + length + dim,
        "batch": np.log2(ops["batch"]),
        "bound": np.where(binds, length - 5.0, 0.0),
        "ragged": np.log2(1.0 + ops["kv_len_spread"]),
    }


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return what the kernel does with a shape: waves, splits, tails, and memory's share.

    Of a ragged batch, of an even one with as many keys: no table has others.
    """
    if ops["kv_len_spread"].any():
        ops = even(ops)
        seconds = DECODE.seconds(ops, machine, schedule, p)
    schedule = engines.resolved(schedule, ops, machine)
    grid = _grid(ops, machine, schedule)
    ctas = grid.tiles * grid.splits
    waves = ctas / machine.sms
    memory = _memory_s(ops, machine, schedule, grid, p)
    lanes = ops["batch"] * ops["heads"]
    return {
        **coordinates(ops),
        "heads": np.log2(ops["heads"]),
        "kv_heads": np.log2(ops["kv_heads"]),
        "window": np.log2(ops["window"] + 1.0),
        "context": np.log2(ops["kv_len"]),
        "lanes": np.log2(lanes),
        "pairs": np.log2(lanes * reach(ops)[0] * ops["head_dim"]),
        "outputs": np.log2(lanes * ops["head_dim"]),
        "seconds": np.log2(seconds),
        "waves": np.log2(waves),
        "waves_up": rounding(waves),
        "lanes_up": rounding(lanes / machine.sms),
        "splits": grid.splits,
        "loop": np.log2(np.ceil(grid.blocks / grid.splits)),
        "stored": np.log2(store_waves(ops, machine)),
        "miss": memory.miss,
        "memory_share": memory.busy / seconds,
    }


DECODE = Kernel(
    "decode_attention",
    ("fixed", "none", *engines.NAMES, ENGINE),
    PARAMETERS,
    seconds,
    coordinates,
    features,
    families=MARKS,
)
