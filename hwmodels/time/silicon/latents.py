"""The cache of latents that an MLA decode reads, whatever kernel lays it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats, miss_share, soft_min
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable


class Rates(NamedTuple):
    """Of the memory's bandwidth, what it gives and what L2 does; of the L2, what the cache fills.

    Then how sharply it overflows, and what one SM draws, GB/s.
    """

    memory: float
    cache: float
    room: float
    sharp: float
    draw_gbs: float


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of sequences, keys, heads and of the cache's rows."""
    batch, keys = np.log2(ops["batch"]), np.log2(ops["kv_len"])
    return {"batch": batch, "keys": keys, "heads": np.log2(ops["heads"]), "rows": batch + keys}


def cached(ops: OpTable) -> Floats:
    """Return the bytes of all rows, float64[n]."""
    found: Floats = ops["batch"] * ops["kv_len"] * (ops["head_dim"] * DTYPE_BYTES[ops.kv_dtype])
    return found


def read_s(ops: OpTable, machine: Machine, passes: Floats, drawing: Floats, rates: Rates) -> Floats:
    """Return what reading takes, s, float64[n]: once from memory where L2 misses, then from L2.

    Parameters
    ----------
    passes
        float64[n], how often rows are loaded.
    drawing
        float64[n], SMs that draw them.
    """
    rows, drawn = cached(ops), drawing * rates.draw_gbs * 1e9
    miss = miss_share(rows, rates.room * machine.l2_bytes, rates.sharp)
    once_s = rows * miss / soft_min(rates.memory * machine.bytes_per_s, drawn)
    found: Floats = once_s + rows * passes / soft_min(rates.cache * machine.bytes_per_s, drawn)
    return found
