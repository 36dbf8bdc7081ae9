"""FlashAttention 4 on Hopper, for heads 512 wide, as vLLM 0.24 runs it: one CTA an SM.

From its sources (``flash_attn/cute``, BSD-3):

- tiles of 64 rows (query heads of a KV head, then queries) and 64 keys, one stage of keys
  (``_tile_size_fwd_sm90``);
- chunks are split where there are more than four blocks of keys, so many ways as tiles go into the
  SMs (``num_splits_heuristic``); decodes 32 ways up to 512 sequences, however few keys there are
  (vLLM's ``flash_attn_max_num_splits_for_cuda_graph``): an idle split costs a CTA as well;
- a CTA finds its sequence by adding up the tiles of 31 sequences at a time, when it starts and
  when it ends (``SingleTileVarlenScheduler``): its cost grows with the batch. The grid has room
  for a part of a tile more a sequence, and these CTAs look through the whole batch;
- the kernel that combines splits has a CTA for each 8 rows and 128 columns *of the whole batch*,
  for each sequence of it: nearly all find nothing to do, and their number goes with the square of
  the batch (``flash_fwd_combine.py``).
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
    generation,
    miss_share,
    rounding,
    soft_max,
    store_waves,
    through_l2,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.named import both, longest_of
from tierlab.kernels.ops.attention import visible_keys, visible_pairs
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

SCHEDULE = "varlen"
MARK = "_fa4"
"""What the names of these kernels hold."""
NARROWEST = 256.0
"""Heads up to so wide have other tiles."""
WIDE = 512.0
"""Columns of a block as its cost is stated."""
ROWS, KEYS = 64.0, 64.0
"""Of a tile."""
SPLITS, MOST_SEQUENCES = 32.0, 512.0
"""Of a decode, up to so many sequences."""
MOST_SPLITS = 128.0
FEWEST_BLOCKS = 4.0
"""Blocks of keys up to which a chunk is not split."""
SEARCH = 31.0
"""Sequences that a CTA looks through in one step."""
COMBINED_ROWS, COMBINED_COLUMNS = 8.0, 128.0
"""Of a CTA that combines splits."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(10.0, 0.5, 60.0, "before any work, us"),
    "wide_us": Parameter(1.5, 1e-3, 10.0, "more where all SMs are busy, us"),
    "queue_us": Parameter(1.0, 1e-3, 10.0, "where CTAs wait for an SM, us"),
    "tile": Parameter(14000.0, 100.0, 80000.0, "a CTA's start and end, cycles"),
    "block": Parameter(5000.0, 100.0, 40000.0, "a block of 64 x 64, cycles"),
    "packed": Parameter(10000.0, 10.0, 80000.0, "more for partial sums of a chunk, cycles"),
    "search": Parameter(1200.0, 10.0, 20000.0, "to look through 31 sequences, cycles"),
    "combine_us": Parameter(2.0, 0.01, 20.0, "the pass that combines splits, us"),
    "split_us": Parameter(1.0, 0.01, 3.0, "more for 32 splits with keys, us"),
    "empty_ns": Parameter(0.7, 1e-3, 20.0, "a CTA of that pass with nothing to do, ns"),
    "hbm_eff": Parameter(0.9, 0.3, 1.05, "of the memory's bandwidth, 1"),
    "l2_speed": Parameter(1.5, 0.5, 8.0, "L2's bandwidth over the memory's, 1"),
    "l2_share": Parameter(0.8, 0.2, 2.0, "of the L2, what the inputs may fill, 1"),
    "miss_us": Parameter(5.0, 0.01, 30.0, "once the inputs do not fit in L2, us"),
    "store_us": Parameter(2.5, 0.05, 30.0, "a wave of tokens stored in the cache first, us"),
    "store": Parameter(1.0, 0.02, 20.0, "traffic of that, where it does not fit in L2, 1"),
    "tail": Parameter(0.6, 0.01, 2.0, "of the longest tile, what the last SM adds, 1"),
    "power": Parameter(3.0, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
    "heat": Parameter(0.1, 1e-3, 0.6, "what sustained work adds as clocks fall, 1"),
    "heat_ms": Parameter(5.0, 0.5, 30.0, "work after which they have mostly fallen, ms"),
}
_SHARP = 4.0
_L2_SPEED = 2.0
"""L2's bandwidth over the memory's, for partial sums; an assumption (2026-11-21)."""


class _Grid(NamedTuple):
    """Tiles and splits; blocks of the longest CTA and of the mean tile; CTAs with no tile."""

    tiles: Floats
    splits: Floats
    longest: Floats
    blocks: Floats
    idle: Floats


def runs(ops: OpTable, machine: Machine) -> bool:
    """Say whether this is the kernel that runs: on Hopper, and no head is narrower."""
    return generation(machine) == "hopper" and bool((ops["head_dim"] > NARROWEST).all())


def splits(ops: OpTable, sms: float) -> Floats:
    """Return the CTAs that share a tile, float64[n]."""
    tiles, blocks = _tiles(ops), np.ceil(ops["kv_len"] / KEYS)
    most = np.minimum(np.floor(sms / tiles), np.minimum(MOST_SPLITS, blocks))
    chunk = np.where(blocks <= FEWEST_BLOCKS, 1.0, np.maximum(most, 1.0))
    held = np.where(ops["batch"] <= MOST_SEQUENCES, SPLITS, 1.0)
    return np.where(ops["q_len"] > 1, chunk, held)


def _tiles(ops: OpTable) -> Floats:
    rows = ops["q_len"] * ops["heads"] / ops["kv_heads"]
    tiles: Floats = ops["batch"] * ops["kv_heads"] * np.ceil(rows / ROWS)
    return tiles


def _blocks(ops: OpTable, keys: Floats, span: Floats) -> Floats:
    """Return the blocks that the last of a sequence's tiles reads, float64[n]."""
    binds = (ops["window"] > 0) & (keys > ops["window"] + span)
    seen = np.where(binds, ops["window"] + span, keys)
    blocks: Floats = np.ceil(seen / KEYS) + binds
    return blocks


def _grid(ops: OpTable, sms: float) -> _Grid:
    tiles, parts = _tiles(ops), splits(ops, sms)
    group = ops["heads"] / ops["kv_heads"]
    span = np.minimum(np.maximum(ROWS / group, 1.0), ops["q_len"])
    step = np.gcd(np.ceil(span).astype(np.int64), int(KEYS))
    mean = visible_pairs(ops) / ops["q_len"] + (span + KEYS - step) / 2.0
    whole = _blocks(ops, ops["kv_len"], span)
    mean = np.where(ops["q_len"] > 1, np.minimum(mean / KEYS, whole), whole)
    room = ops["q_len"] * group * ops["batch"] + ops["batch"] * (ROWS - 1.0)
    idle = np.floor(room / ROWS) * ops["kv_heads"] - tiles
    longest = np.ceil(_blocks(ops, longest_of(ops), span) / parts)
    return _Grid(tiles, parts, longest, mean, np.maximum(idle, 0.0))


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n].

    What a CTA takes with its first block of keys hides no other's traffic: it is alone on its SM.
    """
    grid = _grid(ops, machine.sms)
    fixed, loops = _attention_s(ops, machine, grid, p)
    memory = _memory_s(ops, machine, p)
    later = 1.0 - 1.0 / np.maximum(grid.blocks / grid.splits, 1.0)
    work = fixed + soft_max(loops, memory.busy * later, p["power"])
    work = work * (1.0 + p["heat"] * (1.0 - np.exp(-work / (p["heat_ms"] * 1e-3))))
    stored = ops["batch"] * ops["q_len"] * ops["kv_heads"] * ops["head_dim"] * 8.0
    work = work + p["store"] * memory.miss * stored / machine.bytes_per_s
    start_us = p["launch_us"] + p["store_us"] * store_waves(ops, machine)
    ctas = grid.tiles * grid.splits
    busy = np.minimum(ctas, machine.sms)
    start_us = start_us + p["queue_us"] * np.maximum(1.0 - machine.sms / ctas, 0.0)
    start_us = start_us + p["miss_us"] * memory.miss + p["wide_us"] * busy / machine.sms
    total: Floats = work + start_us * 1e-6 + _combine_s(ops, machine, grid, p)
    return total


def _attention_s(ops: OpTable, machine: Machine, grid: _Grid, p: Values) -> tuple[Floats, Floats]:
    """Return what CTAs take up to their first block of keys, and the blocks that follow, s.

    CTAs of one length make whole waves; of a causal chunk, long ones start first, and what the
    last SM has left is less where a sequence has as many tiles as there are SMs.
    """
    steps = ops["batch"] / SEARCH
    rows = np.minimum(ops["q_len"] * ops["heads"] / ops["kv_heads"], ROWS) / ROWS
    chunk = (ops["q_len"] > 1) & (ops["heads"] > ops["kv_heads"])
    packed = p["packed"] * rows * (grid.splits > 1) * chunk
    fixed = p["tile"] + packed + p["search"] * np.maximum(steps - 1.0, 0.0) / 2.0
    block = p["block"] * ops["head_dim"] / WIDE
    longest = fixed + (grid.longest - 1.0) * block
    mean = fixed + np.maximum(grid.blocks / grid.splits - 1.0, 0.0) * block
    waves = grid.tiles * grid.splits / machine.sms
    whole = np.maximum(1.0, np.where(ops["q_len"] > 1, np.ceil(waves), waves))
    together = np.minimum(grid.tiles / ops["batch"] / machine.sms, 1.0)
    last = p["tail"] * (1.0 - together**1.5) * longest
    mixed = np.maximum(waves * mean + last, longest)
    unlike = np.minimum(4.0 * (1.0 - mean / longest), 1.0)
    many = unlike * mixed + (1.0 - unlike) * whole * longest
    cycles = np.where(waves <= 1.0, longest, many)
    idle = grid.idle * grid.splits * p["search"] * steps / (2.0 * machine.sms)
    starts = np.minimum((unlike * np.maximum(waves, 1.0) + (1.0 - unlike) * whole) * fixed, cycles)
    return (starts + idle) / machine.clock_hz, (cycles - starts) / machine.clock_hz


def _combine_s(ops: OpTable, machine: Machine, grid: _Grid, p: Values) -> Floats:
    rows = ops["batch"] * ops["q_len"] * ops["heads"]
    ctas = np.ceil(rows / COMBINED_ROWS) * np.ceil(ops["head_dim"] / COMBINED_COLUMNS)
    active = np.minimum(np.ceil(np.ceil(ops["kv_len"] / KEYS) / grid.longest), grid.splits)
    partial = rows * ops["head_dim"] * 4.0 * active
    miss = miss_share(partial, machine.l2_bytes, _SHARP)
    moved_s = 2.0 * partial * (miss + (1.0 - miss) / _L2_SPEED) / machine.bytes_per_s
    took = p["combine_us"] * 1e-6 + p["empty_ns"] * 1e-9 * ctas * ops["batch"]
    took = took + p["split_us"] * 1e-6 * active / SPLITS
    return np.where(grid.splits > 1, took + moved_s, 0.0)


def _memory_s(ops: OpTable, machine: Machine, p: Values) -> Memory:
    row = 2.0 * ops["head_dim"]
    cached = ops["batch"] * ops["kv_heads"] * visible_keys(ops) * row * DTYPE_BYTES[ops.kv_dtype]
    tokens = ops["batch"] * ops["q_len"]
    moved = cached + tokens * ops["heads"] * row * 2.0
    given = tokens * ops["kv_heads"] * row * 2.0
    return through_l2(moved, moved + given, machine, p, _SHARP)


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return what the kernel does with a shape: waves, splits, blocks, and each part's share."""
    grid = _grid(ops, machine.sms)
    ctas = grid.tiles * grid.splits
    waves = ctas / machine.sms
    memory = _memory_s(ops, machine, p)
    rows = ops["q_len"] * ops["heads"] / ops["kv_heads"]
    return {
        "seconds": np.log2(seconds),
        "batch": np.log2(ops["batch"]),
        "keys": np.log2(ops["kv_len"]),
        "queries": np.log2(ops["q_len"]),
        "waves": np.log2(waves),
        "waves_up": rounding(waves),
        "rows_up": rounding(rows / ROWS),
        "splits": np.log2(grid.splits),
        "longest": np.log2(grid.longest),
        "blocks": np.log2(grid.blocks),
        "stored": np.log2(store_waves(ops, machine)),
        "miss": memory.miss,
        "memory_share": memory.busy / seconds,
        "combine_share": _combine_s(ops, machine, grid, p) / seconds,
    }


DECODE, PREFILL = both(SCHEDULE, PARAMETERS, seconds, features)
