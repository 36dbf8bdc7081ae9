"""Sampling: one token from each row of logits, by a chain of small kernels.

The first pass finds the largest of each row. One block reads a row, or several where it is long
(PyTorch's reductions): few rows leave SMs idle. It reads what widening the logits to 32 bits left
in L2 while all rows fit. Each pass beyond is a launch or a node of a graph and goes over all SMs,
as PyTorch's divisions, noise and sorts do; `kernels.ops.sampling.PASSES` counts those of vLLM's
samplers. No times of such passes were found that name their GPU: ``pass_us`` is an assumption
(2026-11-22), after 126 us of PyTorch's top-k and top-p over 32,768 logits, which are 37 passes by
that count, on a GPU that vllm-project/vllm pull 42191 does not name. There is one schedule,
``passes``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tierlab.hwmodels.time.silicon.elementwise import PARAMETERS as ROWS
from tierlab.hwmodels.time.silicon.elementwise import ROW_BYTES, transfer_s
from tierlab.hwmodels.time.silicon.kernel import Floats, Kernel, Parameter, Values
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.sampling import TOKEN_BYTES
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

KILOBYTE = 1024.0
AN_OCTAVE_OF_PASSES = 4.0
"""As so many of rows: other passes are other kernels, not more of the same."""
PARAMETERS: dict[str, Parameter] = ROWS | {
    "launch_us": Parameter(8.0, 0.5, 100.0, "before any work, all kernels of the first pass, us"),
    "pass_us": Parameter(2.0, 0.02, 20.0, "each pass beyond the first, us"),
    "l2_speed": Parameter(2.0, 1.05, 10.0, "L2's bandwidth over the memory's, 1"),
    "part_kb": Parameter(500.0, 4.0, 4000.0, "of a row, what one block reads, KB"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    row = row_bytes(ops) + TOKEN_BYTES
    moved, blocks = ops["m"] * row, ops["m"] * np.maximum(1.0, row / (KILOBYTE * p["part_kb"]))
    total: Floats = p["launch_us"] * 1e-6 + transfer_s(moved, blocks, machine, p)
    if ops["k"].any():
        spread = np.maximum(blocks, moved / ROW_BYTES)
        each = p["pass_us"] * 1e-6 + transfer_s(moved, spread, machine, p)
        total += ops["k"] * each
    return total


@once
def row_bytes(ops: OpTable) -> Floats:
    """Return the bytes of a row of logits or scores, float64[n]."""
    held: Floats = ops["n"] * DTYPE_BYTES[ops.dtype]
    return held


@once
def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of rows, of what each holds, and of all of it; and how far passes are apart."""
    rows = np.log2(np.maximum(ops["m"], 1.0))
    held = np.log2(np.maximum(row_bytes(ops), 1.0))
    passes = AN_OCTAVE_OF_PASSES * np.log2(ops["k"] + 1.0)
    return {"rows": rows, "row_bytes": held, "bytes": rows + held, "passes": passes}


SAMPLE = Kernel("sample", ("passes",), PARAMETERS, seconds, coordinates)
