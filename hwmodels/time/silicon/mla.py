"""MLA: decode over latents (absorbed), and prefill with heads wider in keys than in values.

Decode: one row of the cache, latent and rotary part, serves all query heads, 64 of them a tile.
``dealt``: blocks of keys are dealt out over the SMs and the parts combined; ``alone``: a CTA goes
through all keys of its tile, as on Ampere and Ada (one sequence of 65,536 keys takes 5.1 ms on
the L40S); ``flashmla``: as FlashMLA deals them out on Hopper (`mla_flash`); ``generated``: as
TensorRT-LLM lays its kernels for Blackwell out (`mla_gen`). Prefill: tiles of a head's queries,
the longest first. ``heads``: 128 queries, inputs and outputs pass memory; ``kept``: 64 before
Hopper, and all that a call touches, with the rows that it writes to the cache, stays in L2 until
the call is repeated, where it fits (L40S, 4 heads: 35 us of 64 prompts of 128, 172 us of 256).
Public tables are TensorRT-LLM's and SGLang's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from tierlab.hwmodels.time.silicon import mla_flash, mla_gen
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    generation,
    rounding,
    soft_max,
    through_l2,
)
from tierlab.hwmodels.time.silicon.latents import Rates, cached, coordinates, read_s
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.attention import value_dim, visible_pairs
from tierlab.kernels.ops.table import OpTable

BLOCK = 64.0
ROWS = 64.0
FEW, LOW_ROWS = 32.0, 16.0
"""On Blackwell: query heads up to which tiles have so many rows. In the public table 32 heads take
1.3 to 1.4 times as long as 16 and as 64, and 128 no longer than 64: two CTAs share their loads."""
QUERIES, FEW_QUERIES = 128.0, 64.0
"""Of a tile, and before Hopper: the longest of 4,096 keys takes 105 us of an L40S's SM, twice what
64 queries would at its peak."""
LATENT_ROW = 576.0
"""Elements of a token's row in the cache, which prefill writes."""


_DECODED = ("dealt", "alone")
_ENGINES = (mla_flash, mla_gen)


_own = partial(Parameter, only=_DECODED)


DECODE_PARAMETERS: dict[str, Parameter] = {
    "launch_us": _own(9.0, 0.5, 60.0, "before any work, us"),
    "wide_us": _own(0.1, 1e-3, 10.0, "per doubling of the tiles that the SMs share, us"),
    "split_us": _own(2.0, 0.01, 30.0, "the pass that combines splits, us"),
    "block_us": _own(0.5, 0.02, 20.0, "a tile's first block, us"),
    "peak": _own(0.5, 0.05, 1.2, "of the peak, 1"),
    "hbm_eff": _own(0.8, 0.2, 1.05, "of the memory's bandwidth, 1"),
    "l2_share": _own(0.8, 0.1, 2.0, "of the L2, what the cache may fill, 1"),
    "l2_sharp": _own(4.0, 1.0, 12.0, "how sharply it overflows, 1"),
    "l2_speed": _own(2.0, 0.3, 10.0, "L2's bandwidth over the memory's, 1"),
    "sm_gbs": _own(60.0, 2.0, 500.0, "what one SM draws, GB/s"),
    "whole": _own(0.5, 1e-3, 1.0, "how whole waves are, 1"),
    "ends": _own(1.0, 0.05, 20.0, "traffic of queries, outputs and partial sums, 1"),
    "few": _own(0.3, 1e-3, 1.0, "of a tile's arithmetic, what few heads save: a power, 1"),
    "power": _own(2.0, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
}


def decode_seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each decode call, float64[n]."""
    for one in _ENGINES:
        if schedule == one.SCHEDULE:
            found: Floats = one.seconds(ops, machine, p)
            return found
    keys, heads = ops["kv_len"], ops["heads"]
    tiles, high, shared = _tiling(ops, machine)
    blocks = np.ceil(keys / BLOCK)
    rows = np.minimum(heads, high)
    flops = 2.0 * ROWS * BLOCK * (ops["head_dim"] + value_dim(ops))
    block_s = flops * machine.sms / (machine.peak("bf16") * p["peak"])
    block_s = block_s * (rows / ROWS) ** p["few"]
    dealt = schedule == "dealt"
    work = tiles * blocks if dealt else tiles
    each = work / machine.sms
    each = np.maximum(1.0, each + p["whole"] * (np.ceil(each) - each)) * (1.0 if dealt else blocks)
    compute_s = each * block_s + p["block_us"] * 1e-6 * np.maximum(1.0, tiles / machine.sms)
    names = ("hbm_eff", "l2_speed", "l2_share", "l2_sharp", "sm_gbs")
    rates = Rates(*(p[name] for name in names))
    drawing = np.minimum(work, machine.sms)
    memory_s = read_s(ops, machine, np.ceil(heads / shared), drawing, rates)
    ends = ops["batch"] * heads * (ops["head_dim"] + value_dim(ops)) * 2.0
    memory_s = memory_s + p["ends"] * ends / machine.bytes_per_s
    start_us = p["launch_us"] + p["wide_us"] * np.log2(np.minimum(machine.sms, tiles))
    start_us = start_us + p["split_us"] * (dealt & (tiles < machine.sms) & (blocks > 1.0))
    total: Floats = soft_max(compute_s, memory_s, p["power"]) + start_us * 1e-6
    return total


def _tiling(ops: OpTable, machine: Machine) -> tuple[Floats, Floats, Floats]:
    """Return tiles, query heads of one, and of the CTAs that load the cache together, [n] each."""
    heads, blackwell = ops["heads"], generation(machine) == "blackwell"
    few = (heads <= FEW) & blackwell
    high = np.where(few, LOW_ROWS, ROWS)
    shared = np.where(few, LOW_ROWS, 2.0 * ROWS if blackwell else ROWS)
    return ops["batch"] * np.ceil(heads / high), high, shared


def decode_features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return tiles and their waves, rows of a tile, and what memory and arithmetic need."""
    for one in _ENGINES:
        if schedule == one.SCHEDULE:
            found: Mapping[str, Floats] = one.features(ops, machine, seconds)
            return found
    keys, heads = ops["kv_len"], ops["heads"]
    tiles, high, shared = _tiling(ops, machine)
    work = tiles * np.ceil(keys / BLOCK)
    rows = cached(ops)
    flops = 2.0 * ops["batch"] * heads * keys * (ops["head_dim"] + value_dim(ops))
    return {
        **coordinates(ops),
        "lanes": np.log2(ops["batch"] * heads),
        "tiles": np.log2(tiles),
        "work": np.log2(work),
        "filled": np.minimum(heads, high) / high,
        "passes": np.ceil(heads / shared),
        "tiles_up": rounding(tiles / machine.sms),
        "work_up": rounding(work / machine.sms),
        "cached": np.log2(rows / machine.l2_bytes),
        "seconds": np.log2(seconds),
        "memory_share": rows / machine.bytes_per_s / seconds,
        "compute_share": flops / machine.peak("bf16") / seconds,
    }


MLA_DECODE = Kernel(
    "decode_attention",
    (*_DECODED, mla_flash.SCHEDULE, mla_gen.SCHEDULE),
    DECODE_PARAMETERS | mla_flash.PARAMETERS | mla_gen.PARAMETERS,
    decode_seconds,
    coordinates,
    decode_features,
    made={mla_flash.SCHEDULE: "hopper", mla_gen.SCHEDULE: "blackwell"},
)

_KEPT = "kept"
_KEPT_PARAMETERS = {
    "l2_share": Parameter(0.9, 0.1, 2.0, "of the L2, what a call may fill, 1"),
    "l2_sharp": Parameter(6.0, 1.0, 16.0, "how sharply it overflows, 1"),
    "l2_speed": Parameter(2.5, 0.3, 10.0, "L2's bandwidth over the memory's, 1"),
    "latents": Parameter(2.0, 0.02, 30.0, "passes over the tokens' rows of the cache, 1"),
}
PREFILL_PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(12.0, 0.5, 80.0, "before any work, us"),
    "wide_us": Parameter(0.1, 1e-3, 10.0, "per doubling of the tiles that the SMs share, us"),
    "tile_us": Parameter(1.5, 0.02, 40.0, "a tile's start and end, us"),
    "overlap": Parameter(0.6, 0.02, 1.5, "of that, what later waves pay, 1"),
    "peak": Parameter(0.6, 0.05, 1.2, "of the peak, 1"),
    "edge": Parameter(0.9, 0.01, 3.0, "of a tile's masked corner, what is computed, 1"),
    "tail": Parameter(0.3, 0.01, 2.0, "of the longest tile, what the last SM adds, 1"),
    "whole": Parameter(0.5, 1e-3, 1.0, "how whole waves are, 1"),
    "hbm_eff": Parameter(0.8, 0.2, 1.05, "of the memory's bandwidth, 1"),
    "append": Parameter(2.0, 0.02, 30.0, "traffic of inputs and outputs once more, 1"),
    "power": Parameter(2.0, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
    "heat": Parameter(0.1, 1e-3, 0.6, "what sustained work adds as clocks fall, 1"),
    "heat_ms": Parameter(5.0, 0.5, 30.0, "work after which they have mostly fallen, ms"),
    **{name: replace(p, only=(_KEPT,)) for name, p in _KEPT_PARAMETERS.items()},
}


def prefill_seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each prefill call, float64[n]."""
    lanes, new, keys = ops["batch"] * ops["heads"], ops["q_len"], ops["kv_len"]
    high = _queries(machine, schedule)
    tiles = lanes * np.ceil(new / high)
    span = np.minimum(high, new)
    mean = np.minimum(visible_pairs(ops) / new + p["edge"] * (span + BLOCK) / 2.0, keys + BLOCK)
    wide = ops["head_dim"] + value_dim(ops)
    key_s = 2.0 * high * wide * machine.sms / (machine.peak("bf16") * p["peak"])
    shared = tiles / machine.sms
    whole = np.maximum(1.0, shared + p["whole"] * (np.ceil(shared) - shared))
    longest = np.ceil(keys / BLOCK) * BLOCK
    crowded = 1.0 - np.minimum(1.0, 1.0 / shared)
    busiest = np.maximum(longest, shared * mean + p["tail"] * longest * crowded)
    tile_s = p["tile_us"] * 1e-6 * (1.0 + p["overlap"] * (whole - 1.0))
    compute_s = np.where(shared <= 1.0, longest, busiest) * key_s + tile_s
    ends = lanes * (new * wide + keys * wide) * 2.0
    again = p["append"] * ends / machine.bytes_per_s
    if schedule == _KEPT:
        latents = p["latents"] * ops["batch"] * new * LATENT_ROW * 2.0
        near = through_l2(ends, ends + latents, machine, p, p["l2_sharp"])
        memory_s, again = near.busy, near.busy * (p["append"] + latents / ends)
    else:
        memory_s = ends / (p["hbm_eff"] * machine.bytes_per_s)
    work_s = soft_max(compute_s, memory_s, p["power"])
    work_s = work_s * (1.0 + p["heat"] * (1.0 - np.exp(-work_s / (p["heat_ms"] * 1e-3))))
    start_us = p["launch_us"] + p["wide_us"] * np.log2(np.minimum(machine.sms, tiles))
    total: Floats = work_s + again + start_us * 1e-6
    return total


def _queries(machine: Machine, schedule: str) -> float:
    """Return the queries of a tile."""
    return FEW_QUERIES if schedule == _KEPT and generation(machine) == "older" else QUERIES


def prefill_coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of queries, lanes, their product, and keys over queries."""
    queries, lanes = np.log2(ops["q_len"]), np.log2(ops["batch"] * ops["heads"])
    past = np.log2(ops["kv_len"] / ops["q_len"])
    heads = np.log2(ops["heads"])
    return {"queries": queries, "lanes": lanes, "work": queries + lanes, "past": past,
            "heads": heads}  # fmt: skip


def prefill_features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return tiles, their waves and tails, the longest, and what memory and arithmetic need."""
    lanes, new, keys = ops["batch"] * ops["heads"], ops["q_len"], ops["kv_len"]
    high = _queries(machine, schedule)
    waves = lanes * np.ceil(new / high) / machine.sms
    wide = ops["head_dim"] + value_dim(ops)
    pairs = visible_pairs(ops)
    ends = lanes * (new + keys) * wide * 2.0
    return {
        **prefill_coordinates(ops),
        "batch": np.log2(ops["batch"]),
        "keys": np.log2(keys),
        "pairs": np.log2(lanes * pairs),
        "seconds": np.log2(seconds),
        **({"kept": np.log2(ends / machine.l2_bytes)} if schedule == _KEPT else {}),
        "waves": np.log2(waves),
        "waves_up": rounding(waves),
        "rows_up": rounding(new / high),
        "keys_up": rounding(keys / QUERIES),
        "longest": np.log2(keys) - np.log2(waves * pairs / new),
        "memory_share": ends / machine.bytes_per_s / seconds,
        "compute_share": 2.0 * lanes * pairs * wide / machine.peak("bf16") / seconds,
    }


MLA_PREFILL = Kernel(
    "prefill_attention",
    ("heads", _KEPT),
    PREFILL_PARAMETERS,
    prefill_seconds,
    prefill_coordinates,
    prefill_features,
)
