"""Dense products over tiles.

The schedules:

- ``fastest``: of a few tile shapes and split-k factors the best, as a library's heuristic hopes;
- ``by_rows``: a tile by the number of rows alone, never split.

For each tile, waves over SMs are counted whole or in part; a wave takes the larger of its
arithmetic and the operands that it streams through L2; all waves together take no less than the
memory needs. Weights that stay in L2 between repeated calls move faster.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    miss_share,
    rounding,
    soft_min,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

TILES = ((256, 128), (128, 256), (128, 128), (64, 256), (64, 128), (64, 64), (64, 32))
SPLITS = (1, 2, 4, 8, 16)
SPLITTABLE = 65536
"""Largest area of all the tiles of one output tile, where k is split."""
BY_ROWS = ((64, (64, 64)), (128, (64, 128)), (np.inf, (128, 128)))
"""Rows up to which a tile serves, in the manner of vLLM's `cutlass_scaled_mm` dispatch."""
ASKED = ((64, 64), (64, 128), (128, 128), (128, 256), (256, 128))
"""Tiles whose waves the trees may ask for."""
STEP = 64.0
"""Elements of k that one step of a CTA's loop consumes."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(2.0, 0.3, 200.0, "before any work, us"),
    "miss_us": Parameter(1.0, 0.01, 15.0, "once the operands do not fit in L2, us"),
    "l2_share": Parameter(0.8, 0.2, 2.0, "of the L2, what the operands may fill, 1"),
    "l2_sharp": Parameter(5.0, 1.0, 12.0, "how sharply they overflow, 1"),
    "small": Parameter(0.2, 0.01, 1.0, "how efficiency falls with a tile's area: a power, 1"),
    "narrow": Parameter(0.1, 1e-3, 1.0, "how it falls under 128 columns: a power, 1"),
    "peak": Parameter(0.8, 0.05, 1.1, "of the peak that the largest tile reaches, 1"),
    "tile_us": Parameter(1.0, 0.02, 20.0, "the largest tile's prologue and epilogue, us"),
    "l2_speed": Parameter(2.0, 0.3, 8.0, "L2's bandwidth over the memory's, 1"),
    "hbm_eff": Parameter(0.9, 0.3, 1.05, "of the memory's bandwidth, 1"),
    "sm_gbs": Parameter(60.0, 5.0, 800.0, "what one SM draws from memory, GB/s"),
    "cold": Parameter(0.1, 0.01, 1.0, "traffic that L2 never saves, 1"),
    "step_ns": Parameter(100.0, 5.0, 3000.0, "the least that a step of the loop takes, ns"),
    "reduce_us": Parameter(2.0, 0.05, 30.0, "adding up the splits of k, us"),
    "whole": Parameter(0.8, 0.01, 1.0, "how whole waves are, 1"),
    "input_pass": Parameter(1.0, 1e-3, 30.0, "traffic of quantising the input first, 1"),
    "input_us": Parameter(0.1, 1e-2, 60.0, "launching that, us"),
    "row_ns": Parameter(0.5, 1e-3, 50.0, "that, for each row, ns"),
    "odd": Parameter(0.1, 1e-3, 30.0, "8-bit traffic of rows in no multiple of 8, more, 1"),
    "heat": Parameter(0.1, 1e-3, 0.5, "what sustained work adds as clocks fall, 1"),
    "heat_ms": Parameter(1.0, 0.1, 30.0, "work after which they have mostly fallen, ms"),
}


class _Shape:
    """What every tile shape shares."""

    def __init__(self, ops: OpTable, machine: Machine, p: Values) -> None:
        self.m, self.n, self.k = ops["m"], ops["n"], ops["k"]
        self.machine, self.p = machine, p
        self.operand = DTYPE_BYTES[ops.dtype]
        self.stored = weight_bytes(ops)
        self.read = self.n * self.k * self.stored + self.m * self.k * self.operand
        self.written = self.m * self.n * output_bytes(ops)
        l2 = p["l2_share"] * machine.l2_bytes
        self.miss = miss_share(self.read + self.written, l2, p["l2_sharp"])
        self.cold = p["cold"] + (1.0 - p["cold"]) * self.miss
        self.peak = np.array([_peak(machine, d) for d in range(len(DTYPES))])[ops.dtype] * p["peak"]

    def seconds(self, tile: tuple[int, int], splits: int) -> Floats:
        """Return the time with one tile shape and number of splits over k."""
        machine, p = self.machine, self.p
        ctas = np.ceil(self.m / tile[0]) * np.ceil(self.n / tile[1]) * splits
        waves = ctas / machine.sms
        waves = np.where(waves > 1.0, waves + p["whole"] * (np.ceil(waves) - waves), 1.0)
        depth = np.ceil(self.k / (splits * STEP)) * STEP
        area = tile[0] * tile[1]
        share = (area / 32768.0) ** p["small"] * min(1.0, tile[1] / 128.0) ** p["narrow"]
        arithmetic = depth * (2.0 * area * machine.sms / share) / self.peak
        compute_s = waves * (arithmetic + p["tile_us"] * 1e-6 * (area / 32768.0) ** 0.5)
        rate = soft_min(
            p["hbm_eff"] * machine.bytes_per_s,
            np.minimum(machine.sms, ctas) * p["sm_gbs"] * 1e9,
        )
        memory_s = self.read * self.cold / rate
        memory_s += self.written * self.miss / (p["hbm_eff"] * machine.bytes_per_s)
        line = tile[0] * self.operand + tile[1] * self.stored
        l2_rate = p["l2_speed"] * machine.bytes_per_s
        stream_s = np.minimum(waves, ctas / machine.sms) * machine.sms * depth * line / l2_rate
        floor_s = np.maximum(stream_s, depth * (p["step_ns"] * 1e-9 / STEP))
        busy = np.maximum(_norm(compute_s, memory_s), floor_s)
        if splits == 1:
            return busy
        return busy + p["reduce_us"] * 1e-6 + self.written * (2.0 * splits) / l2_rate


def _norm(a: Floats, b: Floats) -> Floats:
    """Return the 4-norm of two times: arithmetic hides most of the memory's, not all."""
    ratio = np.square(b / a)
    total: Floats = a * np.sqrt(np.sqrt(1.0 + ratio * ratio))
    return total


def _peak(machine: Machine, dtype: int) -> float:
    return machine.peak(DTYPES[dtype])


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    shape = _Shape(ops, machine, p)
    best = _fastest(shape) if schedule == "fastest" else _by_rows(shape)
    best = best * (1.0 + p["heat"] * (1.0 - np.exp(-best / (p["heat_ms"] * 1e-3))))
    per_row = shape.k * ((2.0 + shape.operand) * p["input_pass"] / machine.bytes_per_s)
    quantised = shape.m * (per_row + p["row_ns"] * 1e-9)
    ends = shape.m * (shape.k * shape.operand + shape.n * 2.0)
    odd = (shape.m % 8 != 0) & (shape.operand < 2.0)
    best = best + odd * ends * (p["odd"] / machine.bytes_per_s)
    start_us = p["launch_us"] + p["input_us"] * (shape.operand < 2.0) + p["miss_us"] * shape.miss
    total: Floats = best + quantised * (shape.operand < 2.0) + start_us * 1e-6
    return total


def _fastest(shape: _Shape) -> Floats:
    pairs = [(t, s) for t in TILES for s in SPLITS if s * t[0] * t[1] <= SPLITTABLE or s == 1]
    fastest: Floats = np.minimum.reduce([shape.seconds(*pair) for pair in pairs])
    return fastest


def _by_rows(shape: _Shape) -> Floats:
    result = shape.seconds(BY_ROWS[-1][1], 1)
    for most, tile in reversed(BY_ROWS[:-1]):
        result = np.where(shape.m <= most, shape.seconds(tile, 1), result)
    return result


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of m, n, k and of the work."""
    m, n, k = (np.log2(np.maximum(ops[c], 1.0)) for c in "mnk")
    return {"m": m, "n": n, "k": k, "mn": m + n, "nk": n + k, "mk": m + k}


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return the waves and tails of common tiles, and where the time goes."""
    shape = _Shape(ops, machine, p)
    at = dict(coordinates(ops))
    m, n, k = at["m"], at["n"], at["k"]
    found = {
        **at,
        "mnk": m + n + k,
        "odd": shape.m % 8.0,
        "seconds": np.log2(seconds),
        "memory": np.log2(shape.read + shape.written),
        "miss": shape.miss,
        "compute_share": 2.0 * shape.m * shape.n * shape.k / shape.peak / seconds,
        "memory_share": (shape.read + shape.written) / machine.bytes_per_s / seconds,
    }
    for rows, columns in ASKED:
        tiles = np.ceil(shape.m / rows) * np.ceil(shape.n / columns) / machine.sms
        found[f"waves{rows}x{columns}"] = np.log2(tiles)
        found[f"up{rows}x{columns}"] = rounding(tiles)
    return found


GEMM = Kernel("gemm", ("fastest", "by_rows"), PARAMETERS, seconds, coordinates, features)
