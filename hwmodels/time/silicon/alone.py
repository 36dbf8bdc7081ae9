"""How slow a CTA is once it runs alone, and what that adds to ragged decode batches.

Alone, a CTA of FlashAttention 2 does 64 rows of arithmetic a key, whatever is used of them, at the
tensor cores' pace of one SM: on an RTX 4090 that is 18 GB/s of keys and values, of 1,008.
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.silicon import engines, flash2
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Parameter,
    Values,
    by_head_dim,
    reach,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.uneven import Batch, Pace, lengthened_s
from tierlab.hwmodels.time.silicon.uneven import longest as longest_of
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

MEASURED = 1.11
"""`alone` on an RTX 4090, FlashAttention 2 (LLMServingSim's ``skew.csv``, vLLM 0.19); of other
GPUs and kernels, where no ragged batch was measured, an assumption (2026-11-21)."""
ALONE = Parameter(
    MEASURED,
    0.3,
    8.0,
    "a KV block of a CTA alone over its arithmetic at the SM's peak, 1",
    MEASURED,
)


def ragged_s(
    ops: OpTable,
    machine: Machine,
    schedule: str,
    longest: engines.Cut,
    busy_s: Floats,
    miss: Floats,
    p: Values,
) -> Floats:
    """Return what unlike lengths add, s, float64[n].

    Parameters
    ----------
    schedule
        One of `decode`, never ``engine``.
    longest
        Tiles of the batch; blocks and splits of its longest sequence.
    busy_s, miss
        How long memory takes for an even batch, and the share that misses L2.
    """
    keys, _ = reach(ops)
    seen = np.where(ops["window"] > 0, ops["window"], np.inf)
    most = np.maximum(np.minimum(longest_of(ops), seen), keys)
    lanes, once = longest.tiles / ops["batch"], np.ones(len(ops))
    flash = schedule in flash2.SCHEDULES
    slots = machine.sms * (flash2.ctas(ops, machine) if flash else once)
    rounds = flash2.rounds(lanes, longest.splits) if flash else once
    block_s = _block_s(ops, machine, p) * longest.weight
    deep = engines.costs(schedule, ops, machine).deep
    alone_s = np.maximum(block_s * longest.blocks / most, _drawn_s(ops, miss, p) / deep)
    full_s = np.maximum(busy_s / (ops["batch"] * keys * lanes), alone_s / slots)
    batch = Batch(ops["batch"], keys, most, lanes, longest.splits, slots, rounds)
    return lengthened_s(batch, Pace(alone_s, full_s))


def _block_s(ops: OpTable, machine: Machine, p: Values) -> Floats:
    """Return what a block of 64 rows and 128 keys takes: its arithmetic, or as in even batches."""
    pairs = 4.0 * engines.ROWS * engines.BLOCK * ops["head_dim"]
    arithmetic_s = p["alone"] * pairs * machine.sms / machine.peak("bf16")
    return np.maximum(arithmetic_s, by_head_dim(ops["head_dim"], p, "block") / machine.clock_hz)


def _drawn_s(ops: OpTable, miss: Floats, p: Values) -> Floats:
    """Return how long one SM draws a key and its value."""
    row = 2.0 * ops["head_dim"] * DTYPE_BYTES[ops.kv_dtype] * 1e-9
    drawn_s: Floats = row * (miss / p["sm_gbs"] + (1.0 - miss) / p["sm_l2_gbs"])
    return drawn_s
