"""What is published of attention's backward, as measurements: ``published_backward.csv``.

A row is a GPU, a kernel and a shape with TFLOP/s or ms, and where it stands. Only numbers are
kept. Rates count 4 batch heads q_len^2 head_dim FLOPs of forward, half of them with a causal mask,
and 2.5 times as many of backward (Dao-AILab/flash-attention issue 1525).

- ``gpu-mode/ring-attention issue 10``, ``Dao-AILab/flash-attention issue 1589``: FlashAttention 2's
  own benchmark, without a mask where we could read it.
- ``arXiv 2407.08608 figure 6``: FlashAttention 3's paper, FlashAttention 2 and 3, without a mask.
- ``NVIDIA/cudnn-frontend``: its benchmarks' tables. ``flash_attention`` and PyTorch's are
  FlashAttention 2; ``flash_attention_4`` is FlashAttention 4, whose kernel on Hopper is
  FlashAttention 3's algorithm and tiles, and on the RTX PRO 6000 Ampere's with blocks of 64 x 64.
  Non-deterministic gradients, bf16; where a folder has several dates, the last.
- ``triton-lang/Triton-to-tile-IR``: FlashAttention 2 beside the tutorial's kernel, a B200 at 850 W
  and 1.8 GHz.
- ``Dao-AILab/flash-attention PR 2270``, ``PR 2280``: FlashAttention 4 with pairs of CTAs. The GPU
  is not named; a B200 is assumed (2026-11-22).

``published_backward_held.csv`` has the same columns: what was read after the constants stood, of
which nothing is fitted.

Left out, as the GPU is not named: FlashAttention PR 2688, issue 416; for want of readable rows of
backward: issues 477 (RTX 4090), 1051 (H100), 1310 (H20), PR 2412 and 2605 (B200).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.silicon import backward
from tierlab.hwmodels.time.silicon.backward import BACKWARD, OP
from tierlab.hwmodels.time.silicon.kernel import Floats, Kernel, Values
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.kernels.ops.table import OpTable

TABLE = Path(__file__).with_name("published_backward.csv")
HELD = TABLE.with_name("published_backward_held.csv")
SCHEDULE = {"flash2": "fa2", "flash3": "fa3", "flash4": "fa4"}
"""Kernel of the table -> the schedule that models it."""
SAME = {"B200-850W": "B200"}
"""Machine -> the GPU that it is, for what is left out together."""
ARCHITECTURE = {
    "A5000": "Ampere", "A100-PCIE": "Ampere", "H100": "Hopper", "H200": "Hopper",
    "RTX-PRO-6000": "RTX Blackwell", "B200": "Blackwell", "B200-850W": "Blackwell",
    "GB200": "Blackwell", "GB300": "Blackwell",
}  # fmt: skip
"""Machine -> its architecture: a schedule that runs on several can have one left out whole."""
FULL = "full"
"""What a table of calls without a causal mask is marked with (`OpTable.known`)."""
Part = tuple[Measured, Machine]
_COLUMNS = (
    "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "v_head_dim", "window",
)  # fmt: skip


def machines() -> dict[str, Machine]:
    """Return the GPUs of the table; those that the catalogue lacks from their datasheets."""
    known = {n: _known(n) for n in ("A100-80G", "H100", "H200", "B200", "RTX-PRO-6000")}
    a100, b200 = known.pop("A100-80G"), known["B200"]
    slower = 1800e6 / b200.peak_clock_hz
    return known | {
        # NVIDIA A100 80GB PCIe datasheet: 1,935 GB/s, 300 W
        "A100-PCIE": replace(a100, name="A100-PCIE", bytes_per_s=1935e9, tdp_w=300.0),
        # NVIDIA RTX A5000 datasheet: 222.2 TFLOP/s sparse, 8,192 cores at 27.8 TFLOP/s, 768 GB/s,
        # 230 W; GA102 whitepaper: 6 MB of L2; compute capability 8.6: 100 KiB of shared memory
        "A5000": Machine(
            "A5000", 64.0, 1697e6, 768e9, 6.0 * 2**20, 100.0 * 1024, _peaks(111.1e12), 230.0
        ),
        # Triton-to-tile-IR: nvidia-smi -pl 850, -lgc 1800
        "B200-850W": replace(
            b200, name="B200-850W", clock_hz=1800e6, tdp_w=850.0,
            flop_per_s={k: v * min(slower, 1.0) for k, v in b200.flop_per_s.items()},
        ),
        # NVIDIA GB200 and GB300 NVL72 datasheets: 2.5 PFLOP/s dense bf16 and 8 TB/s a GPU, 1,200
        # and 1,400 W; 152 SMs and 2.06 to 2.07 GHz: cudnn-frontend's peak_mma_tflops (2,568, 2,578)
        # over 8,192 FLOP a cycle of an SM. L2 and shared memory as B200's.
        "GB200": replace(
            b200, name="GB200", sms=152.0, clock_hz=2062e6, bytes_per_s=8e12, tdp_w=1200.0,
            flop_per_s=_peaks(2500e12, "fp4"),
        ),
        "GB300": replace(
            b200, name="GB300", sms=152.0, clock_hz=2070e6, bytes_per_s=8e12, tdp_w=1400.0,
            flop_per_s=_peaks(2500e12, "fp4"),
        ),
    }  # fmt: skip


def _known(name: str) -> Machine:
    return machine_of(load_system(name).gpu)


def _peaks(wide: float, *narrow: str) -> dict[str, float]:
    return {"bf16": wide, "fp16": wide} | dict.fromkeys(narrow, 4.0 * wide)


def read(table: Path = TABLE) -> list[Part]:
    """Return a table's measurements, one part a source, GPU, kernel and mask."""
    known, parts = machines(), {}
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["source"], row["gpu"], row["kernel"], row["causal"]
            parts.setdefault(key, []).append(row)
    return [(_part(rows), known[gpu]) for (_, gpu, *_), rows in parts.items()]


def _part(rows: list[dict[str, str]]) -> Measured:
    first = rows[0]
    ops = OpTable.build(
        OP, "bf16", "bf16", **{c: [float(r[c]) for r in rows] for c in _COLUMNS}
    )  # fmt: skip
    ops.known[FULL] = first["causal"] == "0"
    key = KernelKey(OP, "bf16", "bf16", "flash-attention", "several", first["kernel"])
    return Measured(key, first["source"], ops, np.array([_seconds(r) for r in rows]))


def _seconds(row: Mapping[str, str]) -> float:
    if row["ms"]:
        return float(row["ms"]) * 1e-3
    pairs = float(row["q_len"]) ** 2 / (2.0 if row["causal"] == "1" else 1.0)
    flops = 2.5 * 4.0 * float(row["batch"]) * float(row["heads"]) * pairs * float(row["head_dim"])
    return flops / (float(row["tflops"]) * 1e12)


def full(part: Measured) -> bool:
    """Say whether calls have no causal mask."""
    return bool(part.ops.known[FULL])


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, with or without a mask as its table is marked, float64[n]."""
    return backward.timed(ops, machine, schedule, p, full=ops.known[FULL])


def kernel() -> Kernel:
    """Return the model that also knows of calls without a mask."""
    return replace(BACKWARD, seconds=seconds)
