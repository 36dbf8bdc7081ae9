"""Products of weights stored in 8 or 4 bits, and in 8 bits altogether, as TensorRT-LLM runs them.

Two kernels of CUTLASS 2 and one without tensor cores beside each, from NVIDIA/TensorRT-LLM:

- ``weight_only``: fpA_intB: 16-bit inputs; weights are widened on their way to the tensor cores,
  again for each row of tiles, which takes instructions of the SM's integer lanes;
- ``smooth_quant``: 8-bit inputs and weights, scaled at the end.

An engine that is built times every tile of `TILES`, split 1 to 7 ways over k, and the kernel for
few rows, on the next power of two of rows, and keeps the fastest (``gemmPluginProfiler.cpp``,
``cutlass_heuristic.cpp``). The kernel for few rows gives columns to a block of threads, which goes
down k and adds up at the end: it takes what its loop takes, what the memory takes, or what the ends
of all blocks take.

The public tables hold one run of each shape (`trt.IProfiler`), with what launching it takes, after
another layer's 300 MB of weights: weights come from memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon import gemm
from tierlab.hwmodels.time.silicon.kernel import Floats, Kernel, Parameter, Values, rounding
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.hwmodels.time.silicon.plugins import Costs, least_s
from tierlab.kernels.ops.gemm import output_bytes, weight_bytes
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

WEIGHT_ONLY, SMOOTH_QUANT = "weight_only", "smooth_quant"
MARKS = {WEIGHT_ONLY: "weightonlyquantmatmul", SMOOTH_QUANT: "smoothquantgemm"}
TILES = {
    WEIGHT_ONLY: ((16, 128), (16, 256), (32, 128), (64, 128), (128, 128)),
    SMOOTH_QUANT: ((32, 128), (64, 128), (128, 64), (64, 64), (128, 256), (256, 128)),
}
"""Rows and columns (``get_candidate_tiles`` of TensorRT-LLM 1.0)."""
MOST_FEW = {WEIGHT_ONLY: 15.0, SMOOTH_QUANT: 4.0}
"""Rows that the kernel without tensor cores takes, at most."""
SPLITS = {WEIGHT_ONLY: 7, SMOOTH_QUANT: 1}
"""Parts of k, at most (``SPLIT_K_LIMIT``; the tables show 8-bit products never split)."""
LANES = 64.0
"""Integer operations of an SM a cycle."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(8.0, 0.3, 200.0, "before any work, us"),
    "small": Parameter(0.2, 0.01, 1.0, "how efficiency falls with a tile's area: a power, 1"),
    "peak": Parameter(0.8, 0.05, 1.1, "of the peak that the largest tile reaches, 1"),
    "tile_kc": Parameter(2.0, 0.02, 40.0, "the largest tile's prologue and epilogue, 1000 cycles"),
    "l2_speed": Parameter(2.0, 0.3, 8.0, "L2's bandwidth over the memory's, 1"),
    "hbm_eff": Parameter(0.9, 0.3, 1.05, "of the memory's bandwidth, 1"),
    "sm_gbs": Parameter(60.0, 5.0, 800.0, "what one SM draws from memory, GB/s"),
    "step_ns": Parameter(300.0, 5.0, 3000.0, "the least that a step of the loop takes, ns"),
    "reduce_us": Parameter(2.0, 0.05, 30.0, "a part of k adding up after another, us", only=(WEIGHT_ONLY,)),
    "whole": Parameter(0.8, 0.01, 1.0, "how whole waves are, 1"),
    "widen": Parameter(1.0, 0.01, 20.0, "widening a weight, operations", only=(WEIGHT_ONLY,)),
    "few_ns": Parameter(2.0, 0.01, 30.0, "few rows: an element of k, ns"),
    "few_row": Parameter(0.1, 1e-3, 3.0, "of its time, what each further row adds, 1"),
    "few_edge_kc": Parameter(1.0, 1e-3, 100.0, "few rows: the ends of 64 columns, 1000 cycles"),
    "energy_pj": Parameter(0.35, 0.02, 2.0, "of a 16-bit operation at 1 GHz; as the clock^2, pJ"),
    "heat_ms": Parameter(1.0, 0.1, 30.0, "work after which they have mostly fallen, ms"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    m, n, k = ops["m"], ops["n"], ops["k"]
    total = np.empty(len(m))
    kind = ops.dtype.astype(np.int64) * len(DTYPES) + ops.kv_dtype
    for one in np.unique(kind):
        rows = kind == one
        mine = ops.take(rows)
        total[rows] = _alike(mine, machine, schedule, p)
    return total + p["launch_us"] * 1e-6


def _alike(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of calls of one pair of dtypes but for their launch, s, float64[n]."""
    m, n, k = ops["m"], ops["n"], ops["k"]
    if not len(m):
        return np.empty(0)
    costs = _costs(ops, machine, schedule, p)
    best = least_s(m, n, k, costs, TILES[schedule], _few(ops, machine, schedule, p))
    peak = machine.peak(DTYPES[ops.dtype[0]])
    share = gemm.sustained(machine, p, 2.0 * m * n * k / best * (machine.peak("bf16") / peak))
    return best * (1.0 + (1.0 / share - 1.0) * (1.0 - np.exp(-best / (p["heat_ms"] * 1e-3))))


def _few(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    m, n, k = ops["m"], ops["n"], ops["k"]
    more = 1.0 + p["few_row"] * (m - 1.0)
    loop = k * (p["few_ns"] * 1e-9) * more
    memory = n * k * weight_bytes(ops) / (p["hbm_eff"] * machine.bytes_per_s)
    blocks = n / 64.0 / machine.sms
    ends = blocks * (p["few_edge_kc"] * 1e3 / machine.clock_hz) * more
    found = np.sqrt(loop * loop + memory * memory + ends * ends)
    return np.where(m <= MOST_FEW[schedule], found, np.inf)


def _costs(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Costs:
    widen = p["widen"] / (LANES * machine.clock_hz) if schedule == WEIGHT_ONLY else 0.0
    hbm = p["hbm_eff"] * machine.bytes_per_s
    return Costs(
        machine.sms, p["peak"] * machine.peak(DTYPES[ops.dtype[0]]), hbm, p["sm_gbs"] * 1e9,
        p["l2_speed"] * machine.bytes_per_s, float(DTYPE_BYTES[ops.dtype[0]]),
        float(weight_bytes(ops)[0]), widen, p["small"], p["tile_kc"] * 1e3 / machine.clock_hz,
        p["step_ns"] * 1e-9, p.get("reduce_us", 0.0) * 1e-6, p["whole"],
        SPLITS[schedule],
    )  # fmt: skip


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return waves and tails of the tiles, divisors of k, and where the time goes."""
    at = dict(gemm.coordinates(ops))
    m, n, k = ops["m"], ops["n"], ops["k"]
    moved = n * k * weight_bytes(ops)
    found = {
        **at,
        "mnk": at["m"] + at["n"] + at["k"],
        "seconds": np.log2(seconds),
        "memory_share": moved / machine.bytes_per_s / seconds,
        "compute_share": 2.0 * m * n * k / machine.peak(DTYPES[ops.dtype[0]]) / seconds if len(m) else m,
        "odd_k": np.log2(k) % 1.0,
    }
    for rows, columns in TILES[schedule]:
        tiles = np.ceil(m / rows) * np.ceil(n / columns) / machine.sms
        found[f"waves{rows}x{columns}"] = np.log2(tiles)
        found[f"up{rows}x{columns}"] = rounding(tiles)
    return found


STORED_GEMM = Kernel(
    "gemm", (WEIGHT_ONLY, SMOOTH_QUANT), PARAMETERS, seconds, gemm.coordinates, features,
    families=MARKS,
)  # fmt: skip
