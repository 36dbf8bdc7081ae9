"""What trees ask about grouped products, beside the formula of `moe`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats, Values, rounding
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.moe_layer import Layer, layer_of, uneven
from tierlab.hwmodels.time.silicon.moe_tiles import HEIGHTS, VLLM, WIDTH, Tiles, high, tiles
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.moe import experts_touched
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

_ALIGNED = 512
"""Elements beyond which alignment makes no difference."""


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return tiles, waves and tails, alignment, and where the time goes.

    Of a layer, as its products share what is left over; of a product, where it runs alone.
    """
    of, touched = layer_of(ops, schedule), experts_touched(ops)
    routed = np.maximum(ops["m"] * ops["top_k"], 1.0)
    n, k, rows = of.inner * (1.0 + of.gates), of.outer, routed / touched
    peaks = np.array([machine.peak(d) for d in DTYPES])[ops.dtype]
    weights: Floats = touched * ops["n"] * ops["k"] / of.share
    whole_s: Floats = seconds / of.share
    moved = routed * (k * DTYPE_BYTES[ops.dtype] + n * output_bytes(ops))
    stored: Floats = weights * weight_bytes(ops)
    taken = tiles(ops, machine, schedule, rows, of.inner)
    stacked, spread = high(ops, rows, touched, taken.height), touched / machine.sms
    found = {
        **_logs(ops, of, schedule),
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
        "tile_rows": np.log2(taken.height),
        "tile_columns": np.log2(taken.width),
        **_tiling("", taken, stacked, spread, rows, n),
    }
    for height in () if schedule in VLLM else HEIGHTS:
        one = Tiles(np.full(len(ops), height), np.full(len(ops), WIDTH))
        others = high(ops, rows, touched, one.height)
        found |= _tiling(f"{height:.0f}", one, others, spread, rows, n)
    return found | {"up_out": rounding(spread * (stacked * np.ceil(k / taken.width)))}


def _logs(ops: OpTable, of: Layer, schedule: str) -> Mapping[str, Floats]:
    """Return log2 of what a shape is given by, and of the powers of 2 in its widths."""
    tokens, top_k = np.log2(np.maximum(ops["m"], 1.0)), np.log2(np.maximum(ops["top_k"], 1.0))
    n, k = of.inner * (1.0 + of.gates), of.outer
    n_log, k_log = np.log2(n), np.log2(k)
    return {
        "tokens": tokens,
        "top_k": top_k,
        "routed": tokens + top_k,
        "experts": np.log2(np.maximum(ops["experts"], 1.0)),
        "routing": ops["routing"],
        "n": n_log,
        "k": k_log,
        "nk": n_log + k_log,
        "shape": n_log - k_log,
        "n_even": _even(n),
        "k_even": _even(k),
        "uneven": uneven(of, ops, schedule).astype(np.float64),
    }


def _even(width: Floats) -> Floats:
    """Return log2 of the largest power of 2 that divides a width, to `_ALIGNED`."""
    whole = width.astype(np.int64)
    found: Floats = np.log2(np.minimum(np.maximum(whole & -whole, 1), _ALIGNED))
    return found


def _tiling(
    name: str, tile: Tiles, stacked: Floats, spread: Floats, rows: Floats, n: Floats
) -> dict[str, Floats]:
    """Return waves, tails and padding, of tiles so many high an expert."""
    waves: Floats = spread * stacked * np.ceil(n / tile.width)
    padded = stacked * tile.height / rows
    return {f"up{name}": rounding(waves), f"waves{name}": np.log2(waves), f"rows_up{name}": padded}
