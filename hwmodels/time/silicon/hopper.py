"""FlashAttention 3's prefill as vLLM's fork runs it, tile by tile.

From ``hopper/`` of vllm-project/flash-attention (BSD-3-Clause):

- where a window binds, a tile's blocks are counted from where its window begins (`n_offset` in
  ``block.h``): a tile of s queries takes ceil((s + window - 1) / keys of a block) of them. Packing
  16 query heads makes s 8 and saves blocks; a causal tile's start at the first key instead;
- up to 64 rows in a KV head, of heads up to 128 wide, take a tile of 64 rows and one warp group
  (`use_one_mma_wg`, ``flash_api.cpp``);
- one bulk copy loads the queries of 4, 8 or 16 heads that share a KV head (`flash3.packs_by_tma`);
  any other group is gathered row by row, in every tile.

Keys of a block are those of ``tile_size.h``, but of windows over a cache of bytes: 128 for heads 64
wide and 192 for 128. The public times show them (2026-11-21): they step where such tiles do.

Storing is another kernel of the same call. A thread of it moves 8 elements at a time, so a token of
over 4,096 takes a second round (``reshape_and_cache_flash_kernel``). All that the call touches
shares the L2: inputs that overflow it slow storing as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon import flash3
from tierlab.hwmodels.time.silicon.grid import Grid
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Parameter,
    Values,
    by_head_dim,
    miss_share,
    reach,
    soft_max,
    store_waves,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.attention import visible_keys
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

NAME = "hopper"
"""Of the schedule."""
_ONE_GROUP = 64.0
"""Rows of a tile of one warp group."""
_WIDEST = 128.0
"""Heads that such tiles are made for."""
_ROUND = 4096.0
"""Elements of a token that 512 threads store at once."""
_STEPS = (64.0, 128.0, 192.0)
_BOUND = np.array([(160.0, 128.0, 96.0, 64.0), (128.0, 192.0, 128.0, 64.0)])
"""Keys of a block behind a window, by bytes stored (two, one) and head width."""


def _own(start: float, low: float, high: float, meaning: str) -> Parameter:
    return Parameter(start, low, high, meaning, absent=start, only=NAME)


PARAMETERS = {
    "gather_us": _own(0.7, 1e-3, 8.0, "a tile whose queries TMA does not pack, us"),
    "alone_us": _own(0.7, 1e-3, 8.0, "a tile of a head that shares no KV head, us"),
    "one_group": _own(0.8, 0.05, 2.0, "of a tile's fixed cost, what one warp group takes, 1"),
    "one_query": _own(0.9, 0.3, 2.0, "of the launch, what sequences of one query take, 1"),
    "bound_tile": _own(0.9, 0.05, 3.0, "of a tile's fixed cost, what is left behind a window, 1"),
    "bound_block": _own(1.1, 0.05, 3.0, "of a block's time, what it takes behind a window, 1"),
    "store_again": _own(0.5, 1e-3, 4.0, "another round of storing, of a wave's first, 1"),
}


def one_group(ops: OpTable) -> NDArray[np.bool_]:
    """Return where a tile has one warp group, bool[n]."""
    rows = ops["q_len"] * ops["heads"] / ops["kv_heads"]
    fits: NDArray[np.bool_] = (rows <= _ONE_GROUP) & (ops["head_dim"] <= _WIDEST)
    return fits


def tile(ops: OpTable) -> tuple[Floats, Floats]:
    """Return the rows and the keys of a tile, both [n]."""
    high, wide = flash3.tile(ops, np.zeros(len(ops), np.intp))
    eight = (DTYPE_BYTES < 2.0).astype(np.intp)[ops.kv_dtype]
    bound = _BOUND[eight, np.searchsorted(_STEPS, ops["head_dim"])]
    return np.where(one_group(ops), _ONE_GROUP, high), np.where(reach(ops)[1], bound, wide)


def grid(ops: OpTable, sms: float) -> Grid:
    """Return the tiles of a call and their blocks."""
    group, (high, wide) = ops["heads"] / ops["kv_heads"], tile(ops)
    queries, past = ops["q_len"], ops["kv_len"] - ops["q_len"]
    span, binds = np.minimum(high / group, queries), reach(ops)[1]
    per_head = np.ceil(queries * group / high)
    free = np.where(binds, np.ceil((ops["window"] - 1.0 - past) / span), per_head)
    free = np.clip(free, 0.0, per_head)
    bound = np.where(binds, np.ceil((np.ceil(span) + ops["window"] - 1.0) / wide), 0.0)
    longest = np.where(per_head > free, bound, np.ceil(ops["kv_len"] / wide))
    blocks = _from_first(free, span, past, queries, wide) + (per_head - free) * bound
    lanes, splits = ops["batch"] * ops["kv_heads"], flash3.splits(ops, sms)
    longest = np.maximum(np.ceil(longest / splits), 1.0)
    return Grid(lanes * per_head, longest, lanes * blocks, splits, high * wide)


def _from_first(tiles: Floats, span: Floats, past: Floats, end: Floats, wide: Floats) -> Floats:
    """Return the sum of ceil((min(i span, end) + past) / wide) for i = 1 .. tiles, float64[n].

    A block is counted once for each tile that reaches beyond its first key. Tiles whose ends fall
    anywhere in a block reach it half of their span later than the key's place says in the mean.
    """
    whole = span == np.floor(span)
    common = np.gcd(np.maximum(span, 1.0).astype(np.int64), wide.astype(np.int64))
    step = np.where(whole, common, np.minimum(1.0, span))
    last = np.ceil((np.minimum(tiles * span, end) + past) / wide) - 1.0
    first = np.minimum(np.floor(past / wide), last)
    part = last - first
    before = wide * (last * (last + 1.0) - first * (first + 1.0)) / 2.0 - past * part
    missed = before / span - part * (1.0 - step / span) / 2.0
    return np.where(tiles > 0, tiles * (last + 1.0) - missed, 0.0)


def seconds(ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    cut, binds, dim = grid(ops, machine.sms), reach(ops)[1], ops["head_dim"]
    waves = cut.tiles * cut.splits / machine.sms
    tail = p["tail"] * (1.0 - np.minimum(1.0, machine.sms / cut.tiles)) * cut.longest
    busiest = np.maximum(cut.longest, cut.total / machine.sms + tail)
    blocks = np.where(waves <= 1.0, cut.longest, busiest)
    share = by_head_dim(dim, p, "peak") * (machine.peak("bf16") / machine.sms)
    block_s = cut.area * (4.0 * dim / share + p["vector"] / machine.clock_hz)
    compute_s = blocks * block_s * np.where(binds, p["bound_block"], 1.0)
    whole = np.maximum(waves + p["whole"] * (np.ceil(waves) - waves), 1.0)
    work_s = soft_max(compute_s + _fixed_s(ops, whole, p), memory_s(ops, machine, p), p["power"])
    work_s = work_s * (1.0 + p["heat"] * (1.0 - np.exp(-work_s / (p["heat_ms"] * 1e-3))))
    start_us = p["launch_us"] * np.where(ops["q_len"] == 1.0, p["one_query"], 1.0)
    start_us = start_us + p["split_us"] * (cut.splits > 1) + p["window_us"] * binds
    start_us = start_us + p["wide_us"] * np.log2(np.minimum(machine.sms, cut.tiles))
    total: Floats = work_s + store_s(ops, machine, p) + start_us * 1e-6
    return total


def _fixed_s(ops: OpTable, waves: Floats, p: Values) -> Floats:
    """Return what tiles take beside their blocks, s, float64[n]."""
    fixed_ns = by_head_dim(ops["head_dim"], p, "tile") * (1.0 + p["overlap"] * (waves - 1.0))
    fixed_ns = fixed_ns * np.where(reach(ops)[1], p["bound_tile"], 1.0)
    fixed_ns = fixed_ns * np.where(one_group(ops), p["one_group"], 1.0)
    gather_us = np.where(flash3.packs_by_tma(ops), 0.0, p["gather_us"])
    gather_us = np.where(ops["heads"] > ops["kv_heads"], gather_us, p["alone_us"])
    taken: Floats = fixed_ns * 1e-9 + waves * gather_us * 1e-6
    return taken


def _byte_s(ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return the time of a byte, by how far all that the call touches overflows the L2."""
    stored = DTYPE_BYTES[ops.kv_dtype]
    row = ops["batch"] * ops["q_len"] * ops["head_dim"]
    touched = row * (ops["heads"] * (2.0 + stored) + ops["kv_heads"] * 2.0 * (2.0 + stored))
    miss = miss_share(touched, p["l2_share"] * machine.l2_bytes, p["l2_sharp"])
    per_byte: Floats = (miss / p["hbm_eff"] + 1.0 / p["l2_speed"]) / machine.bytes_per_s
    return per_byte


def memory_s(ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return the time of the traffic of attention itself, s, float64[n]."""
    stored, row = DTYPE_BYTES[ops.kv_dtype], ops["batch"] * ops["head_dim"]
    cached = ops["kv_heads"] * visible_keys(ops) * 2.0 * stored
    moved = row * (cached + ops["q_len"] * ops["heads"] * (2.0 + stored))
    total: Floats = moved * _byte_s(ops, machine, p)
    return total


def store_s(ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return the time of storing keys and values, s, float64[n]."""
    token = ops["kv_heads"] * ops["head_dim"]
    wave = np.where(token >= 512.0, 1.0 + p["store_full"], 1.0)
    wave = wave + p["store_again"] * (np.ceil(token / _ROUND) - 1.0)
    moved = ops["batch"] * ops["q_len"] * token * 2.0 * (2.0 + DTYPE_BYTES[ops.kv_dtype])
    waves_s = store_waves(ops, machine) * wave * (p["store_us"] * 1e-6)
    total: Floats = waves_s + p["store"] * moved * _byte_s(ops, machine, p)
    return total
