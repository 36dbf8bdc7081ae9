"""The time of a prefill call as a whole: its tiles, its storing, and the one L2 for both.

For kernels whose tiles are known (`hopper`, `blackwell`, `chunked`, `flash2`). Storing is another
kernel of the same call, a block of threads a token; all that the call touches shares the L2: inputs
that overflow it slow storing as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon import blackwell, chunked, flash2, hopper
from tierlab.hwmodels.time.silicon.grid import Grid, whole_blocks
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

ADA = "ada"
"""FlashAttention 2's splitting kernel (`flash2`): 64 queries of a head, keys never split."""
SCHEDULES = (hopper.NAME, blackwell.NAME, chunked.NAME, ADA)
MARKS = {
    hopper.NAME: "_fa3",
    blackwell.NAME: "trtllmprefill",
    chunked.NAME: "fiprefill",
    ADA: "_fa2",
}
"""Schedule -> what the names of its kernels hold; it is tried for no others."""
_ADA_ROWS = 64.0


def _both(start: float, low: float, high: float, meaning: str) -> Parameter:
    return Parameter(start, low, high, meaning, absent=start, only=SCHEDULES)


PARAMETERS = {
    "one_query": _both(0.9, 0.3, 2.0, "of the launch, what sequences of one query take, 1"),
    "bound_tile": _both(0.9, 0.05, 3.0, "of a tile's fixed cost, what is left behind a window, 1"),
    "bound_block": _both(1.1, 0.05, 3.0, "of a block's time, what it takes behind a window, 1"),
    "store_again": _both(0.5, 1e-3, 4.0, "another round of storing, of a wave's first, 1"),
    "pass_share": Parameter(
        0.8, 0.2, 2.0, "of the L2, what a pass over the keys may fill, 1", absent=0.8, only=(ADA,)
    ),
    **hopper.PARAMETERS,
    **blackwell.PARAMETERS,
    **chunked.PARAMETERS,
}


def tile(schedule: str, ops: OpTable) -> tuple[Floats, Floats]:
    """Return the rows and the keys of a tile, both [n]."""
    if schedule == chunked.NAME:
        return chunked.tile(ops)
    if schedule == ADA:
        return np.full(len(ops), _ADA_ROWS), flash2.keys_of_block(ops)
    return hopper.tile(ops) if schedule == hopper.NAME else blackwell.tile(ops)


def grid(schedule: str, ops: OpTable, sms: float) -> Grid:
    """Return the tiles of a call and their blocks."""
    if schedule == chunked.NAME:
        return chunked.grid(ops, sms)
    if schedule == ADA:
        return whole_blocks(ops, *tile(schedule, ops))
    return hopper.grid(ops, sms) if schedule == hopper.NAME else blackwell.grid(ops)


def seconds(schedule: str, ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    cut, binds, dim = grid(schedule, ops, machine.sms), reach(ops)[1], ops["head_dim"]
    waves = cut.tiles * cut.splits / machine.sms
    tail = p["tail"] * (1.0 - 1.0 / np.maximum(waves, 1.0)) * cut.longest
    busiest = np.maximum(cut.longest, cut.total / machine.sms + tail)
    blocks = np.where(waves <= 1.0, cut.longest, busiest)
    share = by_head_dim(dim, p, "peak") * (machine.peak("bf16") / machine.sms)
    block_s = cut.area * (4.0 * dim / share + p["vector"] / machine.clock_hz)
    compute_s = blocks * block_s * np.where(binds, p["bound_block"], 1.0)
    whole = np.maximum(waves + p["whole"] * (np.ceil(waves) - waves), 1.0)
    moved = traffic(schedule, ops, machine, p)
    busy_s = compute_s + _fixed_s(schedule, ops, whole, binds, p)
    work_s = soft_max(busy_s, moved.attention_s, p["power"])
    work_s = work_s * (1.0 + p["heat"] * (1.0 - np.exp(-work_s / (p["heat_ms"] * 1e-3))))
    start_us = p["launch_us"] * np.where(ops["q_len"] == 1.0, p["one_query"], 1.0)
    start_us = start_us + p["split_us"] * (cut.splits > 1) + p["window_us"] * binds
    start_us = start_us + p["wide_us"] * np.log2(np.minimum(machine.sms, cut.tiles))
    if schedule == chunked.NAME:
        work_s = work_s + chunked.merging_s(ops, machine, cut.splits, p)
    if schedule == hopper.NAME:
        work_s = work_s + hopper.combined_s(ops, machine, cut.splits, p)
    total: Floats = work_s + moved.store_s + start_us * 1e-6
    return total


def _fixed_s(
    schedule: str, ops: OpTable, waves: Floats, binds: NDArray[np.bool_], p: Values
) -> Floats:
    """Return what tiles take beside their blocks, s, float64[n]."""
    fixed_ns = by_head_dim(ops["head_dim"], p, "tile") * (1.0 + p["overlap"] * (waves - 1.0))
    fixed_s = fixed_ns * np.where(binds, p["bound_tile"] * 1e-9, 1e-9)
    if schedule == hopper.NAME:
        return fixed_s * hopper.less(ops, p) + waves * hopper.gathered_s(ops, p)
    if schedule == blackwell.NAME:
        return fixed_s + waves * blackwell.odd_s(ops, p)
    return fixed_s * chunked.fixed(ops, p) if schedule == chunked.NAME else fixed_s


def features(ops: OpTable) -> Mapping[str, Floats]:
    """Return what trees ask beside the tiles: rows of a KV head, and how far heads are from 2^n."""
    heads = np.log2(ops["heads"])
    return {
        "rows": np.log2(ops["q_len"] * ops["heads"] / ops["kv_heads"]),
        "odd": heads - np.floor(heads),
    }


class Traffic(NamedTuple):
    """Times of a call's traffic, s, float64[n]: of attention itself, and of storing."""

    attention_s: Floats
    store_s: Floats


def traffic(schedule: str, ops: OpTable, machine: Machine, p: Values) -> Traffic:
    """Return the times of a call's traffic.

    A byte takes as long as all that the call touches overflows the L2. Queries come as wide as the
    cache's elements, but FlashInfer's as 16-bit ones.
    """
    stored = DTYPE_BYTES[ops.kv_dtype]
    row, token = ops["batch"] * ops["head_dim"], ops["kv_heads"] * ops["head_dim"]
    ends = ops["q_len"] * ops["heads"] * (2.0 + (2.0 if schedule == chunked.NAME else stored))
    kept = ops["batch"] * ops["q_len"] * token * (2.0 * (2.0 + stored))
    miss = miss_share(row * ends + kept, p["l2_share"] * machine.l2_bytes, p["l2_sharp"])
    byte_s = (miss / p["hbm_eff"] + 1.0 / p["l2_speed"]) / machine.bytes_per_s
    cached = visible_keys(ops) * (2.0 * stored)
    attention_s = row * (ops["kv_heads"] * cached + ends) * byte_s
    if schedule == ADA:
        attention_s = attention_s + _again_s(ops, row * cached, machine, p)
    flat = schedule in (hopper.NAME, ADA)
    rounds = hopper.rounds(ops) if flat else blackwell.rounds(ops)
    wave = np.where(token >= 512.0, 1.0 + p["store_full"], 1.0) + p["store_again"] * rounds
    waves_s = store_waves(ops, machine) * wave * (p["store_us"] * 1e-6)
    return Traffic(attention_s, waves_s + p["store"] * kept * byte_s)


def _again_s(ops: OpTable, pass_bytes: Floats, machine: Machine, p: Values) -> Floats:
    """Return the time of keys that FlashAttention 2 fetches again, s, float64[n].

    Its grid goes through the batch query head by query head (`flash2.read`). The next head of a
    group finds the keys in L2 if one pass, with its queries and outputs, leaves them there.

    Parameters
    ----------
    pass_bytes
        Keys and values of one KV head of the whole batch, float64[n].
    """
    row = ops["batch"] * ops["head_dim"]
    beside = pass_bytes + row * ops["q_len"] * (2.0 + DTYPE_BYTES[ops.kv_dtype])
    lost = miss_share(beside, p["pass_share"] * machine.l2_bytes, p["l2_sharp"])
    again = (ops["heads"] - ops["kv_heads"]) * pass_bytes * lost
    return again / (p["hbm_eff"] * machine.bytes_per_s)
