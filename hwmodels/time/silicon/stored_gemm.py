"""Products of weights stored in 8 or 4 bits, and in 8 bits altogether, as TensorRT-LLM runs them.

Two kernels of CUTLASS 2, and beside each one without tensor cores (NVIDIA/TensorRT-LLM 1.0):

- ``weight_only`` (fpA_intB): 16-bit inputs; weights are widened on their way to the tensor cores,
  once for each row of tiles, by the SM's integer lanes;
- ``smooth_quant``: 8-bit inputs and weights, scaled at the end; the input comes quantised.

An engine keeps what was fastest when it was built (``gemmPluginProfiler``): a tile of `TILES`,
split over k (``cutlass_heuristic.cpp``), or for few rows the kernel whose blocks of threads go down
k for some columns each and add up at the end. That one takes what its loop, the memory and the ends
of all blocks take, as a 2-norm. Weights come from memory: another layer's 300 MB passed before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon import gemm
from tierlab.hwmodels.time.silicon.kernel import Floats, Kernel, Parameter, Values, rounding
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.stored_tiles import Costs, least_s
from tierlab.kernels.ops.gemm import weight_bytes
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OpTable

WEIGHT_ONLY, SMOOTH_QUANT = "weight_only", "smooth_quant"
MARKS = {WEIGHT_ONLY: "weightonlyquantmatmul", SMOOTH_QUANT: "smoothquantgemm"}
TILES = {
    WEIGHT_ONLY: ((16, 128), (16, 256), (32, 128), (64, 128), (128, 128)),
    SMOOTH_QUANT: ((32, 128), (64, 128), (128, 64), (64, 64), (128, 256), (256, 128)),
}
"""Rows and columns (``get_candidate_tiles``)."""
SPLITS = {WEIGHT_ONLY: 7, SMOOTH_QUANT: 1}
"""Parts of k, at most (``SPLIT_K_LIMIT``; 8-bit products are never split, as their times show)."""
MOST_FEW = {WEIGHT_ONLY: 15.0, SMOOTH_QUANT: 4.0}
"""Rows that the kernel without tensor cores takes, at most."""
WARP = 2048.0
"""16-bit operations of an SM a cycle by a warp's instruction (``mma.sync``), at most.

Weights are widened into registers, which only these take. Hopper's instructions of four warps do
twice as many, and Blackwell's four times. Marlin's experts in the public tables (16,384 tokens, 8
of 384 experts; tiles of 64 rows counted whole) run at 0.84 of this on H100 and H200 and at 0.80 on
B200, which is 0.42 and 0.20 of their peaks, and at 0.89 of the L40S's peak, which is less.
"""
LANES = 64.0
"""Integer operations of an SM a cycle."""
_BLOCK = 64.0
"""Columns whose ends are one cost."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(4.0, 0.3, 200.0, "before any work, us"),
    "small": Parameter(0.2, 0.01, 1.0, "how efficiency falls with a tile's area: a power, 1"),
    "peak": Parameter(0.8, 0.05, 1.1, "of the peak that the largest tile reaches, 1"),
    "tile_kc": Parameter(2.0, 0.02, 40.0, "the largest tile's prologue and epilogue, 1000 cycles"),
    "l2_speed": Parameter(2.0, 0.3, 8.0, "L2's bandwidth over the memory's, 1"),
    "hbm_eff": Parameter(0.9, 0.3, 1.05, "of the memory's bandwidth, 1"),
    "sm_gbs": Parameter(60.0, 5.0, 800.0, "what one SM draws from memory, GB/s"),
    "step_ns": Parameter(300.0, 5.0, 3000.0, "a step of the loop, whatever it multiplies, ns"),
    "reduce_us": Parameter(2.0, 0.05, 30.0, "one part of k after another adding up, us"),
    "whole": Parameter(0.8, 0.01, 1.0, "how whole waves are, 1"),
    "widen": Parameter(1.0, 0.01, 20.0, "widening a weight, operations"),
    "few_ns": Parameter(2.0, 0.01, 30.0, "few rows: an element of k, ns"),
    "few_row": Parameter(0.1, 1e-3, 3.0, "what each further row adds to that and the ends, 1"),
    "few_edge_kc": Parameter(1.0, 1e-3, 100.0, "few rows: the ends of 64 columns, 1000 cycles"),
    "energy_pj": Parameter(0.35, 0.02, 2.0, "of a 16-bit operation at 1 GHz; as the clock^2, pJ"),
    "heat_ms": Parameter(1.0, 0.1, 30.0, "work after which they have mostly fallen, ms"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    total, kinds = np.empty(len(ops)), _kind(ops)
    for kind in np.unique(kinds):
        rows = kinds == kind
        total[rows] = _alike(ops.take(rows), machine, schedule, p)
    return total + p["launch_us"] * 1e-6


def _kind(ops: OpTable) -> Floats:
    """Return one number for the arithmetic and the bytes of a weight, float64[n]."""
    return ops.dtype + weight_bytes(ops) / 16.0


def _alike(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of calls of one kind but for their launch, s, float64[n]."""
    peak = machine.peak(DTYPES[ops.dtype[0]])
    costs, few_s = _costs(ops, machine, schedule, p), _few(ops, machine, schedule, p)
    best = least_s([ops[c] for c in "mnk"], costs, TILES[schedule], few_s)
    work = 2.0 * ops["m"] * ops["n"] * ops["k"]
    return gemm.throttled(best, work, machine.peak("bf16") / peak, machine, p)


def _few(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of the kernel for few rows, s, infinite where there are more."""
    more = 1.0 + p["few_row"] * (ops["m"] - 1.0)
    loop = ops["k"] * (p["few_ns"] * 1e-9) * more
    read = ops["n"] * ops["k"] * weight_bytes(ops)
    memory = read / (p["hbm_eff"] * machine.bytes_per_s)
    blocks = ops["n"] / (_BLOCK * machine.sms)
    ends = blocks * (p["few_edge_kc"] * 1e3 / machine.clock_hz) * more
    found = np.sqrt(loop * loop + memory * memory + ends * ends)
    return np.where(ops["m"] <= MOST_FEW[schedule], found, np.inf)


def _costs(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Costs:
    dtype, clock_hz = ops.dtype[0], machine.clock_hz
    return Costs(
        machine.sms, p["peak"] * _flop_per_s(machine, DTYPES[dtype], schedule),
        p["hbm_eff"] * machine.bytes_per_s, p["sm_gbs"] * 1e9, p["l2_speed"] * machine.bytes_per_s,
        float(DTYPE_BYTES[dtype]), float(weight_bytes(ops)[0]),
        p.get("widen", 0.0) / (LANES * clock_hz), p["small"], p["tile_kc"] * 1e3 / clock_hz,
        p["step_ns"] * 1e-9, p.get("reduce_us", 0.0) * 1e-6, p["whole"], SPLITS[schedule],
    )  # fmt: skip


def _flop_per_s(machine: Machine, dtype: str, schedule: str) -> float:
    peak = machine.peak(dtype)
    if schedule == SMOOTH_QUANT:
        return peak
    return min(peak, WARP * machine.sms * machine.peak_clock_hz)


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return the waves and tails of the tiles, how k divides, and where the time goes."""
    at, (m, n, k) = gemm.coordinates(ops), (ops[c] for c in "mnk")
    peak = np.array([machine.peak(d) for d in DTYPES])[ops.dtype]
    found = {
        **at,
        "mnk": at["m"] + at["n"] + at["k"],
        "odd_k": at["k"] % 1.0,
        "seconds": np.log2(seconds),
        "compute_share": 2.0 * m * n * k / peak / seconds,
        "memory_share": n * k * weight_bytes(ops) / machine.bytes_per_s / seconds,
    }
    for rows, columns in TILES[schedule]:
        tiles = np.ceil(m / rows) * np.ceil(n / columns) / machine.sms
        found[f"waves{rows}x{columns}"] = np.log2(tiles)
        found[f"up{rows}x{columns}"] = rounding(tiles)
    return found


_OF_WEIGHTS = ("reduce_us", "widen")
_OTHERS = {name: one for name, one in PARAMETERS.items() if name not in _OF_WEIGHTS}
MODELS = {
    MARKS[schedule]: Kernel("gemm", (schedule,), known, seconds, gemm.coordinates, features)
    for schedule, known in ((WEIGHT_ONLY, PARAMETERS), (SMOOTH_QUANT, _OTHERS))
}
"""What a kernel's name holds -> its model."""
