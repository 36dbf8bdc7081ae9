"""Selection: the largest scores of each row, one block of threads a row.

A block counts digits of its row's scores, then filters what may be among the largest (radix
selection: Alabi et al., ACM JEA 17, 2012; RadiK, arXiv 2501.14336). It passes over the row more
than once: from shared memory or L1 while the row fits, else from L2, where the rows of all SMs at
once must fit. A block fills an SM, so that rows run in waves. There is one schedule, ``block``.

Fitted to the kernel that SGLang runs for sparse attention: 2,048 of a row of 32-bit scores. What it
takes depends on the scores. The public tables have two kinds: all alike, which is fitted, and clear
winners, which take 0.4 to 0.6 of that. Random scores took 5.2, 15.4 and 40.9 us of 4,096, 16,384
and 65,536 on a B200 (flashinfer-ai/flashinfer pull 2461), scores alike 11.8, 14.5 and 35.9, clear
winners 4.2, 6.2 and 15.9: long rows are as slow as if all were alike, short ones are not.
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
    soft_max,
    through_l2,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.sampling import KILOBYTE, row_bytes
from tierlab.hwmodels.time.silicon.sampling import coordinates as all_coordinates
from tierlab.kernels.ops.table import OpTable

PLACE = 4.0
"""Bytes of an entry of the page table, one a score of a sequence.

The chosen are looked up there, a sector of 32 or 64 bytes each. Inferred from the times: on an H200
1,024 rows of 163,840 take 793 us as 128 sequences of 8 rows, and 550 as 32 of 32, or fewer.
"""
PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(2.0, 0.2, 30.0, "before any work, us"),
    "block_us": Parameter(1.0, 0.05, 30.0, "a row, however short, us"),
    "sm_gbs": Parameter(100.0, 10.0, 1000.0, "what one SM draws, GB/s"),
    "again": Parameter(0.2, 0.01, 1.0, "of a row, what each pass beyond the first reads, 1"),
    "near": Parameter(0.4, 0.02, 1.0, "of its time, such a pass over a row that the SM holds, 1"),
    "held": Parameter(0.6, 0.1, 2.0, "of an SM's memory, what a row may fill, 1"),
    "answer_kb": Parameter(72.0, 8.0, 144.0, "a row's places: written, looked up, KB"),
    "whole": Parameter(0.8, 1e-3, 1.0, "how whole waves are, 1"),
    "hbm_eff": Parameter(0.85, 0.2, 1.05, "of the memory's bandwidth, 1"),
    "l2_share": Parameter(0.8, 0.1, 4.0, "of the L2, what rows may fill, 1"),
    "l2_sharp": Parameter(3.0, 1.0, 12.0, "how sharply it, or an SM's memory, overflows, 1"),
    "l2_speed": Parameter(2.0, 1.05, 10.0, "L2's bandwidth over the memory's, 1"),
    "power": Parameter(2.0, 1.02, 9.0, "how well SMs and memory overlap: a norm, 1"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    rows, row = ops["m"], row_bytes(ops)
    far = miss_share(row, p["held"] * machine.sram_bytes, p["l2_sharp"])
    later = ops["k"] * p["again"]
    waves = rows / machine.sms
    waves = np.maximum(1.0, waves + p["whole"] * (np.ceil(waves) - waves))
    passed = row * (1.0 + later * (far + (1.0 - far) * p["near"]))
    sms_s = waves * (p["block_us"] * 1e-6 + passed / (p["sm_gbs"] * 1e9))
    first = through_l2(rows * row, rows * row, machine, p, p["l2_sharp"])
    places = np.maximum(ops["batch"], 1.0) * ops["n"] * PLACE
    answers = through_l2(rows * KILOBYTE * p["answer_kb"], places, machine, p, p["l2_sharp"])
    at_once = np.minimum(rows, machine.sms) * row
    again = through_l2(rows * row * later * far, at_once, machine, p, p["l2_sharp"])
    total: Floats = p["launch_us"] * 1e-6 + soft_max(
        sms_s, first.busy + again.busy + answers.busy, p["power"]
    )
    return total


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of rows, of what each holds, and of all of it."""
    known = {name: all_coordinates(ops)[name] for name in ("rows", "row_bytes", "bytes")}
    return known | {"sequences": np.log2(np.maximum(ops["batch"], 1.0))}


TOP_K = Kernel("sample", ("block",), PARAMETERS, seconds, coordinates)
