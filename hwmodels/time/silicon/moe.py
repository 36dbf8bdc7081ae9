"""Grouped products of routed experts: tiles of each expert's rows, over SMs.

A tile may be mostly padding; the experts that are touched are read once. Tiles are known only where
none were tuned (`_default_tile`), so the schedules are simpler: the rows that one expert gets
choose the height, and

- ``padded``: every expert's last tile is whole;
- ``packed``: only its first must be.

Public tables hold a whole layer, two products with what stands between; it is shared out as their
work is, two to one with a gate.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    rounding,
    soft_max,
    soft_min,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.moe import experts_touched
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

HEIGHTS = (16.0, 32.0, 64.0, 128.0)
WIDTH = 128.0
BY_TOKENS = ((32.0, 16.0), (96.0, 32.0), (512.0, 64.0), (np.inf, 128.0))
"""Tokens up to which a tile's height serves."""
NARROW = 64.0
"""Tokens up to which a tile is so wide, and no wider."""
STEP = 64.0
_ALIGNED = 512
"""Elements beyond which alignment makes no difference."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(10.0, 0.5, 200.0, "before any work, us"),
    "expert_ns": Parameter(10.0, 0.1, 3000.0, "an expert's part of the routing, ns"),
    "row_ns": Parameter(0.5, 1e-3, 50.0, "a routed row's part of it, ns"),
    "peak": Parameter(0.6, 0.02, 1.1, "of the peak, with the highest tile, 1"),
    "small": Parameter(0.3, 0.01, 1.5, "how it falls with a tile's height: a power, 1"),
    "tile_us": Parameter(1.0, 0.01, 30.0, "a tile's start and end, us"),
    "whole": Parameter(0.5, 1e-3, 1.0, "how whole waves are, 1"),
    "hbm_eff": Parameter(0.8, 0.1, 1.05, "of the memory's bandwidth, 1"),
    "sm_gbs": Parameter(50.0, 1.0, 800.0, "what one SM draws from memory, GB/s"),
    "l2_speed": Parameter(2.5, 0.3, 12.0, "L2's bandwidth over the memory's, 1"),
    "step_ns": Parameter(100.0, 5.0, 5000.0, "the least that a step of the loop takes, ns"),
    "odd": Parameter(0.5, 1e-3, 10.0, "how much longer with sizes in no multiple of 16, 1"),
    "between": Parameter(1.5, 0.02, 30.0, "traffic of rows between the products, 1"),
    "power": Parameter(2.5, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    routed, touched = ops["m"] * ops["top_k"], np.maximum(experts_touched(ops), 1.0)
    n, k = ops["n"], ops["k"]
    rows = routed / touched
    height = np.select([rows <= h for h in HEIGHTS[:-1]], HEIGHTS[:-1], HEIGHTS[-1])
    high = np.maximum(rows / height, 1.0) if schedule == "packed" else np.ceil(rows / height)
    tiles = touched * high * np.ceil(n / WIDTH)
    waves = tiles / machine.sms
    waves = np.maximum(1.0, waves + p["whole"] * (np.ceil(waves) - waves))
    peaks = np.array([machine.peak(d) for d in DTYPES])[ops.dtype] * p["peak"]
    share = (height / HEIGHTS[-1]) ** p["small"]
    arithmetic_s = 2.0 * height * WIDTH * k * machine.sms / (peaks * share)
    arithmetic_s = np.maximum(arithmetic_s, k / STEP * p["step_ns"] * 1e-9)
    compute_s = waves * (arithmetic_s + p["tile_us"] * 1e-6)
    weights = touched * n * k * weight_bytes(ops)
    moved = routed * (k * DTYPE_BYTES[ops.dtype] + n * output_bytes(ops))
    drawn = np.minimum(tiles, machine.sms) * p["sm_gbs"] * 1e9
    memory_s = (weights + moved) / soft_min(p["hbm_eff"] * machine.bytes_per_s, drawn)
    line = height * DTYPE_BYTES[ops.dtype] + WIDTH * weight_bytes(ops)
    stream_s = tiles * k * line / (p["l2_speed"] * machine.bytes_per_s)
    busy_s = soft_max(np.maximum(compute_s, stream_s), memory_s, p["power"])
    uneven = (k % 16 != 0) | (n % 32 != 0)
    busy_s = busy_s * (1.0 + p["odd"] * uneven)
    routing_s = (ops["experts"] * p["expert_ns"] + routed * p["row_ns"]) * 1e-9
    between_s = p["between"] * moved / machine.bytes_per_s
    total: Floats = busy_s + routing_s + between_s + p["launch_us"] * 1e-6
    return total


def _default_tile(ops: OpTable) -> tuple[Floats, Floats]:
    """Return height and width of the tiles that vLLM takes where no file was tuned for a shape.

    The tokens of the batch choose, whatever an expert gets (``fused_moe.py``,
    `get_default_config`).
    """
    tokens = ops["m"]
    height = np.select([tokens <= most for most, _ in BY_TOKENS], [h for _, h in BY_TOKENS])
    return height, np.where(tokens <= NARROW, NARROW, WIDTH)


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of tokens, rows an expert, width, depth, experts and the weights read."""
    touched = np.maximum(experts_touched(ops), 1.0)
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
    """Return tiles, waves and tails for each height, alignment, and where the time goes."""
    touched = np.maximum(experts_touched(ops), 1.0)
    at = dict(coordinates(ops))
    routed = np.maximum(ops["m"] * ops["top_k"], 1.0)
    rows, n, k = routed / touched, ops["n"], ops["k"]
    weights = touched * n * k * weight_bytes(ops)
    moved = routed * (k * DTYPE_BYTES[ops.dtype] + n * output_bytes(ops))
    peaks = np.array([machine.peak(d) for d in DTYPES])[ops.dtype]
    found = {
        **at,
        "top_k": np.log2(np.maximum(ops["top_k"], 1.0)),
        "routed": np.log2(routed),
        "spare": np.log2(touched / np.maximum(ops["experts"], 1.0)),
        "shape": at["n"] - at["k"],
        "work": np.log2(routed) + at["nk"],
        "moved": np.log2(moved),
        "seconds": np.log2(seconds),
        "memory_share": (weights + moved) / machine.bytes_per_s / seconds,
        "weights_share": weights / (weights + moved),
        "compute_share": 2.0 * routed * n * k / peaks / seconds,
        "n_even": np.log2(np.gcd(n.astype(np.int64), _ALIGNED)),
        "k_even": np.log2(np.gcd(k.astype(np.int64), _ALIGNED)),
        "n_up": rounding(n / WIDTH),
    }
    return {**found, **_tilings(ops, machine, touched, rows)}


def _tilings(ops: OpTable, machine: Machine, touched: Floats, rows: Floats) -> Mapping[str, Floats]:
    """Return waves, their tails and padding, of the default tiles and of each height."""
    found: dict[str, Floats] = {}
    wide = np.full(len(rows), WIDTH)
    known = {f"{h:.0f}": (np.full(len(rows), h), wide) for h in HEIGHTS}
    for name, (height, width) in {"": _default_tile(ops), **known}.items():
        high = np.ceil(rows / height)
        tiles = touched * high * np.ceil(ops["n"] / width) / machine.sms
        found[f"waves{name}"] = np.log2(tiles)
        found[f"up{name}"] = rounding(tiles)
        found[f"rows_up{name}"] = high * height / rows
    return found


_KINDS = ("padded", "packed")
GROUPED_GEMM = Kernel("grouped_gemm", _KINDS, PARAMETERS, seconds, coordinates, features)
BATCHED_GEMM = Kernel("grouped_gemm", _KINDS, PARAMETERS, seconds, coordinates, features)
"""Every row visits every matrix: MLA's absorbed products, scores of heads; nothing is routed."""
