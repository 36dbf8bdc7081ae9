"""Grouped products of routed experts: tiles of each expert's rows, over SMs.

Rows are dealt out evenly, as public tables' are: they visit as many experts as there are rows,
until all are visited (`read`). A tile may be mostly padding; the experts that are visited are read
once, from L2 where a layer's weights stay there between calls. The schedules:

- ``padded``, ``packed``: one product by itself, whose tiles' height the rows of an expert choose;
  every expert's last tile is whole, or only its first must be;
- ``layer``: as ``padded``, a share of the time that both products of a layer take (`moe_layer`):
  public tables hold a whole layer, which is shared out as the work is, two to one with a gate;
- ``cutlass``: as ``layer``, with tiles of 128 that take the longer the less they are filled, as
  FlashInfer's on Hopper (8 experts of 14,336: 2.2 ms with 64 rows each, 0.96 ms with 128);
- ``triton``, ``blocked``, ``marlin``: as ``layer``, with vLLM's tiles (`moe_tiles`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    miss_share,
    rounding,
    soft_max,
    soft_min,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.moe_layer import Layer, layer, padded
from tierlab.hwmodels.time.silicon.moe_tiles import HEIGHTS, VLLM, WIDTH, Tiles, tiles
from tierlab.hwmodels.time.silicon.tiles import STEP
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

_ALIGNED = 512
"""Elements beyond which alignment makes no difference."""
_ALONE = ("padded", "packed")

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(10.0, 0.5, 200.0, "before any work, us"),
    "expert_ns": Parameter(10.0, 0.1, 3000.0, "an expert's part of the routing, ns"),
    "row_ns": Parameter(0.5, 1e-3, 50.0, "a routed row's part of it, ns"),
    "lone_us": Parameter(1.0, 0.01, 60.0, "more where a token visits one expert, us", 0.01),
    "peak": Parameter(0.6, 0.02, 1.1, "of the peak, with the highest tile, 1"),
    "small": Parameter(0.3, 0.01, 1.5, "how it falls with a tile's height: a power, 1"),
    "tile_us": Parameter(1.0, 0.01, 30.0, "a tile's start and end, us"),
    "part": Parameter(0.5, 1e-3, 5.0, "how much longer a tile takes by its missing rows, 1", 1e-3),
    "whole": Parameter(0.5, 1e-3, 1.0, "how whole waves are, 1"),
    "hbm_eff": Parameter(0.8, 0.1, 1.05, "of the memory's bandwidth, 1"),
    "sm_gbs": Parameter(50.0, 1.0, 800.0, "what one SM draws from memory, GB/s"),
    "l2_share": Parameter(0.8, 0.05, 2.0, "of the L2, what a layer's weights may fill, 1", 1e-3),
    "l2_sharp": Parameter(4.0, 1.0, 12.0, "how sharply it overflows, 1", 1.0),
    "l2_speed": Parameter(2.5, 0.3, 12.0, "L2's bandwidth over the memory's, 1"),
    "step_ns": Parameter(100.0, 5.0, 5000.0, "the least that a step of the loop takes, ns"),
    "odd": Parameter(0.5, 1e-3, 10.0, "how much longer with sizes in no multiple of 16, 1"),
    "between": Parameter(1.5, 0.02, 30.0, "traffic of rows between the products, 1"),
    "power": Parameter(2.5, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    return _Batch(ops, machine, schedule, p).seconds()


class _Batch:
    """What all products of a table share while their times are added up."""

    def __init__(self, ops: OpTable, machine: Machine, schedule: str, p: Values) -> None:
        self.ops, self.machine, self.p = ops, machine, p
        self.schedule, self.of = schedule, _of(ops, schedule)
        self.read = read(ops)
        self.routed = ops["m"] * ops["top_k"]
        self.rows = self.routed / self.read
        self.height, self.width = tiles(ops, machine, schedule, self.rows, self.of.inner)
        high = self.rows / self.height
        self.high = np.maximum(high, 1.0) if schedule == "packed" else np.ceil(high)
        if schedule == "cutlass":
            self.high = self.high + p["part"] * (self.high - high)
        self.peak = np.array([machine.peak(d) for d in DTYPES])[ops.dtype] * p["peak"]
        self.stored, self.wide = weight_bytes(ops), DTYPE_BYTES[ops.dtype]
        self.miss = self._miss()

    def _miss(self) -> Floats:
        """Return the share of weights that L2 does not hold between calls."""
        weights = self.read * self.ops["n"] * self.ops["k"] / self.of.share * self.stored
        room = self.p["l2_share"] * self.machine.l2_bytes
        return miss_share(weights, room, self.p["l2_sharp"])

    def seconds(self) -> Floats:
        """Return each product's share of its layer's time."""
        ops, p, of = self.ops, self.p, self.of
        routing_s = (ops["experts"] * p["expert_ns"] + self.routed * p["row_ns"]) * 1e-9
        start_s = (p["launch_us"] + p["lone_us"] * (ops["top_k"] == 1.0)) * 1e-6
        uneven = 1.0 + p["odd"] * _uneven(of)
        busy_s = self.product_s(of.inner * (1.0 + of.gates), of.outer)
        if self.schedule not in _ALONE:
            busy_s = busy_s + self.product_s(of.outer, of.inner)
        total: Floats = (busy_s * uneven + routing_s + start_s) * of.share
        return total

    def product_s(self, n: Floats, k: Floats) -> Floats:
        """Return the time of products that are `n` wide and `k` deep, with their rows' traffic."""
        machine, p = self.machine, self.p
        count = self.read * self.high * np.ceil(n / self.width)
        waves = count / machine.sms
        waves = np.maximum(1.0, waves + p["whole"] * (np.ceil(waves) - waves))
        share = (self.height / HEIGHTS[-1]) ** p["small"]
        arithmetic_s = 2.0 * self.height * self.width * k * machine.sms / (self.peak * share)
        arithmetic_s = np.maximum(arithmetic_s, k / STEP * p["step_ns"] * 1e-9)
        compute_s = waves * (arithmetic_s + p["tile_us"] * 1e-6)
        moved = self.routed * (k * self.wide + n * output_bytes(self.ops))
        weights = self.read * n * k * self.stored * self.miss
        drawn = np.minimum(count, machine.sms) * p["sm_gbs"] * 1e9
        memory_s = (weights + moved) / soft_min(p["hbm_eff"] * machine.bytes_per_s, drawn)
        line = self.height * self.wide + self.width * self.stored
        stream_s = count * k * line / (p["l2_speed"] * machine.bytes_per_s)
        busy_s = soft_max(np.maximum(compute_s, stream_s), memory_s, p["power"])
        found: Floats = busy_s + p["between"] * moved / machine.bytes_per_s
        return found


def _of(ops: OpTable, schedule: str) -> Layer:
    """Return the layer whose time is shared out, or the product itself where it runs alone."""
    if schedule not in _ALONE:
        return padded(layer(ops), ops, schedule)
    return Layer(ops["k"], ops["n"], np.zeros(len(ops)), np.ones(len(ops)))


def read(ops: OpTable) -> Floats:
    """Return the experts that are read where rows are dealt out evenly, float64[n]."""
    found: Floats = np.clip(ops["m"] * ops["top_k"], 1.0, np.maximum(ops["experts"], 1.0))
    return found


def _uneven(of: Layer) -> NDArray[np.bool_]:
    """Say where the inner layer is in no multiple of 16: loads of its rows are narrower."""
    found: NDArray[np.bool_] = (of.inner % 16.0 != 0) | (of.outer % 16.0 != 0)
    return found


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of tokens, rows an expert, width, depth, experts and the weights read."""
    touched = read(ops)
    tokens = np.log2(np.maximum(ops["m"], 1.0))
    rows = tokens + np.log2(np.maximum(ops["top_k"], 1.0) / touched)
    n, k = np.log2(ops["n"]), np.log2(ops["k"])
    return {
        "tokens": tokens,
        "rows": rows,
        "nk": n + k,
        "experts": np.log2(np.maximum(ops["experts"], 1.0)),
        "read": np.log2(touched) + n + k,
        "n": n,
        "k": k,
    }


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return tiles, waves and tails, alignment, and where the time goes.

    Of a layer, as its products share what is left over; of a product, where it runs alone.
    """
    of, touched = _of(ops, schedule), read(ops)
    routed = np.maximum(ops["m"] * ops["top_k"], 1.0)
    n, k, rows = of.inner * (1.0 + of.gates), of.outer, routed / touched
    peaks = np.array([machine.peak(d) for d in DTYPES])[ops.dtype]
    weights: Floats = touched * ops["n"] * ops["k"] / of.share
    whole_s: Floats = seconds / of.share
    moved = routed * (k * DTYPE_BYTES[ops.dtype] + n * output_bytes(ops))
    stored: Floats = weights * weight_bytes(ops)
    taken = tiles(ops, machine, schedule, rows, of.inner)
    return {
        **_logs(ops, of),
        "rows": np.log2(rows),
        "read": np.log2(weights),
        "work": np.log2(rows * weights),
        "moved": np.log2(moved),
        "kept": np.log2(stored / machine.l2_bytes),
        "spare": np.log2(touched / np.maximum(ops["experts"], 1.0)),
        "seconds": np.log2(whole_s),
        "memory_share": (stored + moved) / machine.bytes_per_s / whole_s,
        "weights_share": stored / (stored + moved),
        "compute_share": 2.0 * rows * weights / peaks / whole_s,
        "n_up": rounding(n / WIDTH),
        **_tilings(schedule, taken, touched / machine.sms, rows, n),
        "up_out": rounding(touched / machine.sms * _tiles_of(taken, rows, k)),
    }


def _logs(ops: OpTable, of: Layer) -> Mapping[str, Floats]:
    """Return log2 of what a shape is given by, and of the powers of 2 in its widths."""
    tokens, top_k = np.log2(np.maximum(ops["m"], 1.0)), np.log2(np.maximum(ops["top_k"], 1.0))
    n, k = of.inner * (1.0 + of.gates), of.outer
    n_log, k_log = np.log2(n), np.log2(k)
    return {
        "tokens": tokens,
        "top_k": top_k,
        "routed": tokens + top_k,
        "experts": np.log2(np.maximum(ops["experts"], 1.0)),
        "n": n_log,
        "k": k_log,
        "nk": n_log + k_log,
        "shape": n_log - k_log,
        "n_even": _even(n),
        "k_even": _even(k),
        "uneven": _uneven(of).astype(np.float64),
    }


def _even(width: Floats) -> Floats:
    """Return log2 of the largest power of 2 that divides a width, to `_ALIGNED`."""
    whole = width.astype(np.int64)
    found: Floats = np.log2(np.minimum(np.maximum(whole & -whole, 1), _ALIGNED))
    return found


def _tilings(
    schedule: str, taken: Tiles, touched: Floats, rows: Floats, n: Floats
) -> Mapping[str, Floats]:
    """Return waves, tails and padding, of the tiles that are taken; of each height if unknown."""
    found = {"tile_rows": np.log2(taken.height), "tile_columns": np.log2(taken.width)}
    found |= _tiling("", taken.height, taken.width, touched, rows, n)
    for height in () if schedule in VLLM else HEIGHTS:
        found |= _tiling(f"{height:.0f}", height, WIDTH, touched, rows, n)
    return found


def _tiling(
    name: str,
    height: Floats | float,
    width: Floats | float,
    touched: Floats,
    rows: Floats,
    n: Floats,
) -> dict[str, Floats]:
    high = np.ceil(rows / height)
    count: Floats = touched * high * np.ceil(n / width)
    whole = {f"up{name}": rounding(count), f"rows_up{name}": high * height / rows}
    return {f"waves{name}": np.log2(count), **whole}


def _tiles_of(taken: Tiles, rows: Floats, n: Floats) -> Floats:
    """Return the tiles of one expert."""
    found: Floats = np.ceil(rows / taken.height) * np.ceil(n / taken.width)
    return found


_ROUTED = (*_ALONE, "layer", "cutlass", *VLLM)
GROUPED_GEMM = Kernel("grouped_gemm", _ROUTED, PARAMETERS, seconds, coordinates, features)
BATCHED_GEMM = Kernel("grouped_gemm", _ALONE, PARAMETERS, seconds, coordinates, features)
"""Every row visits every matrix: MLA's absorbed products, scores of heads; nothing is routed."""
