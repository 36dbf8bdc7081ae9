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

A thread that stores keys or values moves 8 elements at a time, so that a token of over 4,096 takes
a second round (``reshape_and_cache_flash_kernel``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon import flash3
from tierlab.hwmodels.time.silicon.grid import Grid, from_first
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Parameter,
    Values,
    reach,
)
from tierlab.hwmodels.time.silicon.machine import Machine
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
    return Parameter(start, low, high, meaning, absent=start, only=(NAME,))


PARAMETERS = {
    "gather_us": _own(0.7, 1e-3, 8.0, "a tile whose queries TMA does not pack, us"),
    "alone_us": _own(0.7, 1e-3, 8.0, "a tile of a head that shares no KV head, us"),
    "partial": _own(0.5, 0.02, 4.0, "traffic of outputs that splits leave to be combined, 1"),
    "one_group": _own(0.8, 0.05, 2.0, "of a tile's fixed cost, what one warp group takes, 1"),
}


def one_group(ops: OpTable) -> NDArray[np.bool_]:
    """Return where a tile has one warp group, bool[n]."""
    rows = ops["q_len"] * ops["heads"] / ops["kv_heads"]
    fits: NDArray[np.bool_] = (rows <= _ONE_GROUP) & (ops["head_dim"] <= _WIDEST)
    return fits


def tile(ops: OpTable) -> tuple[Floats, Floats]:
    """Return the rows and the keys of a tile, both [n]."""
    high, wide = flash3.tile_without_window(ops)
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
    blocks = from_first(free, span, past, queries, wide) + (per_head - free) * bound
    lanes, splits = ops["batch"] * ops["kv_heads"], flash3.splits(ops, sms)
    longest = np.maximum(np.ceil(longest / splits), 1.0)
    return Grid(lanes * per_head, longest, lanes * blocks, splits, high * wide)


def less(ops: OpTable, p: Values) -> Floats:
    """Return what share of a tile's fixed cost is left, float64[n]."""
    return np.where(one_group(ops), p["one_group"], 1.0)


def gathered_s(ops: OpTable, p: Values) -> Floats:
    """Return what it takes to fetch the queries of a tile where TMA does not, s, float64[n]."""
    gather_us = np.where(flash3.packs_by_tma(ops), 0.0, p["gather_us"])
    taken: Floats = np.where(ops["heads"] > ops["kv_heads"], gather_us, p["alone_us"]) * 1e-6
    return taken


def rounds(ops: OpTable) -> Floats:
    """Return the rounds beyond the first that the threads that store a token take, float64[n]."""
    found: Floats = np.ceil(ops["kv_heads"] * ops["head_dim"] / _ROUND) - 1.0
    return found


def combined_s(ops: OpTable, machine: Machine, splits: Floats, p: Values) -> Floats:
    """Return the time of the outputs that splits write in fp32 and another kernel reads, s."""
    partial = 4.0 * ops["batch"] * ops["q_len"] * ops["heads"] * ops["head_dim"] * splits
    return np.where(splits > 1, p["partial"] * 2.0 * partial / machine.bytes_per_s, 0.0)
