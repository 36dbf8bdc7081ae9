"""How FlashMLA deals MLA's decode out on Hopper.

TensorRT-LLM runs it on Hopper where pages hold 64 tokens (``attentionOp``, `mUseGenFlashMLA`).
Its scheduler (deepseek-ai/FlashMLA, ``get_mla_metadata_kernel``; MIT) counts a sequence as its
blocks of 64 keys and 5 more, divides the sum by the parts that the SMs make, one a tile of 64
heads, and hands the blocks out in turn: a part takes whole sequences, then as much of the next as
fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Parameter,
    Values,
    rounding,
    soft_max,
)
from tierlab.hwmodels.time.silicon.latents import Rates, cached, coordinates, read_s
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.attention import value_dim
from tierlab.kernels.ops.table import OpTable

SCHEDULE = "flashmla"
BLOCK, ROWS, OVERHEAD = 64.0, 64.0, 5.0
"""Keys of a block, heads of a tile, and the blocks that a sequence counts for beside its own."""


_own = partial(Parameter, only=(SCHEDULE,))


PARAMETERS: dict[str, Parameter] = {
    "fm_launch_us": _own(10.0, 0.5, 60.0, "before any work, us"),
    "fm_wide_us": _own(0.1, 1e-3, 10.0, "per doubling of the CTAs that work, us"),
    "fm_first_us": _own(4.0, 0.05, 40.0, "a part's first sequence: its start and end, us"),
    "fm_next_us": _own(4.0, 0.05, 40.0, "each further one, us"),
    "fm_heads_us": _own(1.0, 0.01, 40.0, "64 heads of a sequence: queries in, results out, us"),
    "fm_block_us": _own(1.6, 0.1, 20.0, "a block of 64 keys and 64 heads, us"),
    "fm_masked": _own(0.5, 1e-3, 1.0, "of a block that is part full, what its gap takes, 1"),
    "fm_join_us": _own(2.0, 0.01, 30.0, "combining a sequence's parts, us"),
    "fm_part_us": _own(0.05, 1e-3, 3.0, "each of its parts, us"),
    "fm_memory": _own(0.9, 0.2, 1.05, "of the memory's bandwidth, 1"),
    "fm_draw_gbs": _own(60.0, 2.0, 500.0, "what one SM draws, GB/s"),
    "fm_cache": _own(2.0, 0.3, 10.0, "L2's bandwidth over the memory's, 1"),
    "fm_room": _own(0.8, 0.1, 2.0, "of the L2, what the cache may fill, 1"),
    "fm_sharp": _own(4.0, 1.0, 12.0, "how sharply it overflows, 1"),
    "fm_ends": _own(1.0, 0.05, 20.0, "traffic of queries and outputs, 1"),
    "fm_power": _own(2.0, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
}


class Dealt(NamedTuple):
    """What the busiest part takes, float64[n]: sequences, blocks; and what there is.

    Attributes
    ----------
    sequences, blocks
        Of the busiest part.
    tiles, parts
        Tiles of heads; parts of the SMs, each as many CTAs as tiles.
    each
        Blocks of one sequence.
    over
        Parts that share one sequence.
    """

    sequences: Floats
    blocks: Floats
    tiles: Floats
    parts: Floats
    each: Floats
    over: Floats


def deal(ops: OpTable, machine: Machine) -> Dealt:
    """Return how the blocks of each call are dealt out."""
    batch, each = ops["batch"], np.ceil(ops["kv_len"] / BLOCK)
    tiles = np.ceil(ops["heads"] / ROWS)
    parts = np.maximum(1.0, np.floor(machine.sms / tiles))
    payload = np.ceil(batch * (each + OVERHEAD) / parts) + OVERHEAD
    whole = np.minimum(np.floor(payload / (each + OVERHEAD)), batch)
    rest = np.maximum(payload - whole * (each + OVERHEAD) - OVERHEAD, 0.0)
    rest = np.where(whole < batch, np.minimum(rest, each), 0.0)
    blocks = np.minimum(whole * each + rest, batch * each)
    over = np.maximum(1.0, np.ceil(each / np.maximum(payload - OVERHEAD, 1.0)))
    return Dealt(whole + (rest > 0.0), blocks, tiles, parts, each, over)


def seconds(ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return the time of each decode call, float64[n]."""
    of, batch, keys = deal(ops, machine), ops["batch"], ops["kv_len"]
    filled = keys / BLOCK / of.each
    block_s = p["fm_block_us"] * 1e-6 * (filled + p["fm_masked"] * (1.0 - filled))
    more_s = p["fm_next_us"] * 1e-6 * np.maximum(of.sequences - 1.0, 0.0)
    compute_s = p["fm_first_us"] * 1e-6 + more_s + of.blocks * block_s
    share = np.minimum(ops["heads"], ROWS) / ROWS
    compute_s += p["fm_heads_us"] * 1e-6 * share * of.sequences
    working = _working(ops, of)
    rates = Rates(*(p[f"fm_{name}"] for name in Rates._fields))
    memory_s = read_s(ops, machine, of.tiles, working, rates)
    start_us = p["fm_launch_us"] + p["fm_wide_us"] * np.log2(working)
    start_us += np.where(of.over > 1.0, p["fm_join_us"] + p["fm_part_us"] * of.over, 0.0)
    ends = batch * ops["heads"] * (ops["head_dim"] + value_dim(ops)) * 2.0
    total: Floats = soft_max(compute_s, memory_s, p["fm_power"]) + start_us * 1e-6
    total += p["fm_ends"] * ends / machine.bytes_per_s
    return total


def _working(ops: OpTable, of: Dealt) -> Floats:
    """Return how many CTAs have work, float64[n]."""
    found: Floats = of.tiles * np.minimum(of.parts, ops["batch"] * of.each)
    return found


def features(ops: OpTable, machine: Machine, seconds: Floats) -> Mapping[str, Floats]:
    """Return what parts are dealt, and what memory and arithmetic need."""
    of, batch, keys = deal(ops, machine), ops["batch"], ops["kv_len"]
    rows = cached(ops)
    flops = 2.0 * batch * of.tiles * ROWS * keys * (ops["head_dim"] + value_dim(ops))
    share = batch * of.each / of.parts
    return {
        **coordinates(ops),
        "lanes": np.log2(batch * ops["heads"]),
        "tiles": np.log2(batch * of.tiles),
        "work": np.log2(batch * of.tiles * of.each),
        "passes": of.tiles,
        "filled": np.minimum(ops["heads"], ROWS) / ROWS,
        "sequences": of.sequences,
        "blocks": np.log2(of.blocks),
        "over": np.log2(of.over),
        "share": np.log2(share),
        "share_up": rounding(share),
        "busiest": of.blocks / share,
        "cached": np.log2(rows / machine.l2_bytes),
        "seconds": np.log2(seconds),
        "memory_share": rows / machine.bytes_per_s / seconds,
        "compute_share": flops / machine.peak("bf16") / seconds,
    }
