"""Selection: the largest scores of each row, one block of threads a row.

A block counts digits of its row's scores, then filters what may be among the largest (radix
selection: Alabi et al., ACM JEA 17, 2012; RadiK, arXiv 2501.14336). It passes over the row more
than once: from shared memory or L1 while the row fits, else from L2, where the rows of all SMs at
once must fit. A block fills an SM, so that rows run in waves. There is one schedule, ``block``.

Measured of the kernel that SGLang runs for DeepSeek's sparse attention: 2,048 of a row, scores of
32 bits. How long it takes depends on the scores, too: rows in which all are alike take up to 2.5
times as long as those with clear winners, which are what is fitted.
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
from tierlab.hwmodels.time.silicon.sampling import coordinates as all_coordinates
from tierlab.hwmodels.time.silicon.sampling import row_bytes
from tierlab.kernels.ops.table import OpTable

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(2.0, 0.2, 30.0, "before any work, us"),
    "block_us": Parameter(1.0, 0.05, 30.0, "a row, however short, us"),
    "sm_gbs": Parameter(100.0, 10.0, 1000.0, "what one SM draws, GB/s"),
    "again": Parameter(0.2, 0.01, 1.0, "of a row, what each pass beyond the first reads, 1"),
    "near": Parameter(0.4, 0.02, 1.0, "of its time, such a pass over a row that the SM holds, 1"),
    "held": Parameter(0.6, 0.1, 2.0, "of an SM's memory, what a row may fill, 1"),
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
    at_once = np.minimum(rows, machine.sms) * row
    again = through_l2(rows * row * later * far, at_once, machine, p, p["l2_sharp"])
    total: Floats = p["launch_us"] * 1e-6 + soft_max(sms_s, first.busy + again.busy, p["power"])
    return total


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of rows, of what each holds, and of all of it."""
    return {name: all_coordinates(ops)[name] for name in ("rows", "row_bytes", "bytes")}


TOP_K = Kernel("sample", ("block",), PARAMETERS, seconds, coordinates)
