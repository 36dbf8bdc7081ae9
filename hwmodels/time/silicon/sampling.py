"""Sampling: one token from each row of logits, by a chain of small kernels.

A pass over the logits is a launch or a node of a graph (vLLM's sampler is PyTorch's own kernels:
an argmax, and for random choice a division, a softmax, noise; `kernels.ops.sampling.PASSES`). A row
is read by one block, or divided where it is long (PyTorch's reductions): few rows leave SMs idle.
Each pass reads what the one before left in L2, while all rows fit; the first reads what widening
them to 32 bits left there. There is one schedule, ``passes``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon.elementwise import PARAMETERS as ROWS
from tierlab.hwmodels.time.silicon.elementwise import transfer_s
from tierlab.hwmodels.time.silicon.kernel import Floats, Kernel, Parameter, Values
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.sampling import TOKEN_BYTES
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

KILOBYTE = 1024.0
PARAMETERS: dict[str, Parameter] = ROWS | {
    "launch_us": Parameter(8.0, 0.5, 100.0, "before any work, all kernels of the first pass, us"),
    "pass_us": Parameter(1.0, 0.02, 20.0, "each pass beyond the first, us"),
    "l2_speed": Parameter(2.0, 1.05, 10.0, "L2's bandwidth over the memory's, 1"),
    "part_kb": Parameter(500.0, 4.0, 4000.0, "of a row, what one block reads, KB"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    row = row_bytes(ops)
    blocks = ops["m"] * np.maximum(1.0, row / (KILOBYTE * p["part_kb"]))
    once_s = transfer_s(ops["m"] * (row + TOKEN_BYTES), blocks, machine, p)
    total: Floats = p["launch_us"] * 1e-6 + once_s
    total += ops["k"] * (p["pass_us"] * 1e-6 + once_s)
    return total


@once
def row_bytes(ops: OpTable) -> Floats:
    """Return the bytes of a row of logits or scores, float64[n]."""
    held: Floats = ops["n"] * DTYPE_BYTES[ops.dtype]
    return held


@once
def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of rows, of what each holds, of all of it, and of passes."""
    rows = np.log2(np.maximum(ops["m"], 1.0))
    held = np.log2(np.maximum(row_bytes(ops), 1.0))
    return {"rows": rows, "row_bytes": held, "bytes": rows + held, "passes": np.log2(ops["k"] + 1)}


SAMPLE = Kernel("sample", ("passes",), PARAMETERS, seconds, coordinates)
