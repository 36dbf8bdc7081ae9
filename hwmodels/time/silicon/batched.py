"""Products of heads: one small dense product a head, as a library's strided batch.

MLA's absorbed weights, scores of heads. Every product has tiles of its own, and the tiles of all
are dealt out over the SMs together; of a few tile shapes the best serves, as a library's heuristic
hopes. Rows and weights are read once and results written once: from and to L2, while all of a call
stay there until it is repeated, else memory. Public tables repeat one call from a graph of that
call alone (ai-dynamo/aiconfigurator, ``collect_mla_bmm.py``: ``repeat_n`` 1): a replay follows the
one before after `floor_us` at the earliest, which hides what small products take.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    generation,
    rounding,
    soft_max,
    soft_min,
    through_l2,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.moe import coordinates
from tierlab.hwmodels.time.silicon.tiles import STEP
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

SCHEDULE = "strided"
TILES = ((16.0, 128.0), (32.0, 128.0), (64.0, 64.0), (64.0, 128.0), (128.0, 128.0))
"""Rows and columns; small ones stand for several CTAs an SM. Those over 128 made the formula worse
on H200 and H100."""
PAIRED = ((64.0, 64.0), (64.0, 128.0), (128.0, 128.0), (128.0, 256.0), (256.0, 128.0))
"""On Blackwell, where two SMs multiply together."""
_LARGEST = 32768.0
"""Area of the largest tile."""

PARAMETERS: dict[str, Parameter] = {
    "floor_us": Parameter(4.2, 0.3, 30.0, "from one replay to the next at the least, us"),
    "launch_us": Parameter(2.5, 0.05, 30.0, "before and after any work, us"),
    "hide": Parameter(6.0, 1.0, 20.0, "how sharply the floor gives way: a norm, 1"),
    "share": Parameter(0.6, 0.05, 1.1, "of the peak, with the largest tile, 1"),
    "area": Parameter(0.2, 0.01, 1.0, "how that falls with a tile's area: a power, 1"),
    "edge_us": Parameter(1.0, 0.02, 20.0, "the largest tile's start and end, us"),
    "waves": Parameter(0.5, 1e-3, 1.0, "how whole waves are, 1"),
    "memory": Parameter(0.8, 0.2, 1.05, "of the memory's bandwidth, 1"),
    "cache": Parameter(2.5, 0.5, 8.0, "L2's bandwidth over the memory's, 1"),
    "room": Parameter(0.9, 0.2, 2.0, "of the L2, what a call may fill, 1"),
    "sharp": Parameter(6.0, 1.0, 16.0, "how sharply it overflows, 1"),
    "draw_gbs": Parameter(60.0, 3.0, 800.0, "what one SM draws, GB/s"),
    "stream": Parameter(3.0, 0.5, 30.0, "what tiles load and store over the memory's bandwidth, 1"),
    "norm": Parameter(2.5, 1.02, 9.0, "how well memory and arithmetic overlap: a norm, 1"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    moved = traffic(ops)
    rates = {"l2_share": p["room"], "hbm_eff": p["memory"], "l2_speed": p["cache"]}
    memory_s = through_l2(moved, moved, machine, rates, p["sharp"]).busy
    best = np.full(len(ops), np.inf)
    for tile in tiles(machine):
        best = np.minimum(best, _with_tile(tile, ops, machine, p, memory_s))
    return soft_max(
        best + p["launch_us"] * 1e-6, np.full(len(ops), p["floor_us"] * 1e-6), p["hide"]
    )


def _with_tile(
    tile: tuple[float, float], ops: OpTable, machine: Machine, p: Values, memory_s: Floats
) -> Floats:
    """Return what a call takes with tiles of (rows, columns), from its first byte to its last."""
    rows, columns = tile
    area = rows * columns
    count = ctas(ops, tile)
    exact = count / machine.sms
    waves = np.maximum(1.0, exact + p["waves"] * (np.ceil(exact) - exact))
    peak = np.array([machine.peak(d) for d in DTYPES])[ops.dtype] * p["share"]
    per_k = 2.0 * area * machine.sms / (peak * (area / _LARGEST) ** p["area"])
    edge_s = p["edge_us"] * 1e-6 * (area / _LARGEST) ** 0.5
    compute_s = waves * (np.ceil(ops["k"] / STEP) * STEP * per_k + edge_s)
    drawn = np.minimum(count, machine.sms) * p["draw_gbs"] * 1e9
    lines_s = streamed(ops, tile) / soft_min(p["stream"] * machine.bytes_per_s, drawn)
    return soft_max(soft_max(compute_s, lines_s, p["norm"]), memory_s, p["norm"])


def tiles(machine: Machine) -> tuple[tuple[float, float], ...]:
    """Return the tile shapes to try on a GPU."""
    return PAIRED if generation(machine) == "blackwell" else TILES


def ctas(ops: OpTable, tile: tuple[float, float]) -> Floats:
    """Return how many tiles all products have together, float64[n]."""
    rows, columns = tile
    found: Floats = ops["experts"] * np.ceil(ops["m"] / rows) * np.ceil(ops["n"] / columns)
    return found


def streamed(ops: OpTable, tile: tuple[float, float]) -> Floats:
    """Return the bytes that tiles load from L2, each its own rows and columns, and store."""
    m, n, k = ops["m"], ops["n"], ops["k"]
    loads = m * np.ceil(n / tile[1]) * DTYPE_BYTES[ops.dtype]
    loads = k * (loads + n * np.ceil(m / tile[0]) * weight_bytes(ops))
    found: Floats = ops["experts"] * (loads + m * n * output_bytes(ops))
    return found


def traffic(ops: OpTable) -> Floats:
    """Return the bytes of all operands and results, float64[n]."""
    m, n, k = ops["m"], ops["n"], ops["k"]
    each = m * (k * DTYPE_BYTES[ops.dtype] + n * output_bytes(ops)) + n * k * weight_bytes(ops)
    found: Floats = ops["experts"] * each
    return found


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return waves and tails of the tiles, and where the time goes."""
    m, n, k = (np.log2(np.maximum(ops[c], 1.0)) for c in "mnk")
    heads, moved = np.log2(np.maximum(ops["experts"], 1.0)), traffic(ops)
    flops = 2.0 * ops["experts"] * ops["m"] * ops["n"] * ops["k"]
    peaks = np.array([machine.peak(d) for d in DTYPES])[ops.dtype]
    found = {
        "m": m, "n": n, "k": k, "heads": heads, "rows": m + heads,
        "seconds": np.log2(seconds),
        "moved": np.log2(moved / machine.l2_bytes),
        "memory_share": moved / machine.bytes_per_s / seconds,
        "compute_share": flops / peaks / seconds,
        "weights_share": ops["experts"] * ops["n"] * ops["k"] * weight_bytes(ops) / moved,
    }  # fmt: skip
    for tile in tiles(machine):
        waves = ctas(ops, tile) / machine.sms
        name = f"{tile[0]:.0f}x{tile[1]:.0f}"
        found |= {f"waves{name}": np.log2(waves), f"up{name}": rounding(waves)}
    return found


BATCHED_GEMM = Kernel("grouped_gemm", (SCHEDULE,), PARAMETERS, seconds, coordinates, features)
"""Every row visits every matrix: MLA's absorbed products, scores of heads; nothing is routed."""
