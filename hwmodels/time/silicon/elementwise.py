"""Elementwise kernels: norms, rotations, activations, quantisation, copies.

A row is a block of threads. Traffic runs at L2's speed while it stays in L2 between repeated
calls, as an activation does between the kernels of a layer; one block draws no more than an SM
can. There is one schedule, ``rows``. Where rows are not told (0), a launch has as many as its
traffic asks for: policies' passes over scores and keys say bytes alone.
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
    soft_min,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.table import OpTable

ROW_BYTES = 16384.0
"""What a block moves where rows are not told: 4,096 elements of 16 bits, in and out."""

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(2.0, 0.2, 60.0, "before any work, us"),
    "l2_share": Parameter(0.8, 0.1, 4.0, "of the L2, what the traffic may fill, 1"),
    "l2_sharp": Parameter(3.0, 1.0, 12.0, "how sharply it overflows, 1"),
    "hbm_eff": Parameter(0.85, 0.2, 1.05, "of the memory's bandwidth, 1"),
    "l2_speed": Parameter(2.0, 0.3, 10.0, "L2's bandwidth over the memory's, 1"),
    "sm_gbs": Parameter(60.0, 1.0, 500.0, "what one SM draws, GB/s"),
    "block_ns": Parameter(2.0, 0.01, 2000.0, "a row, on one of the SMs, ns"),
}


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each call, float64[n]."""
    memory_s, l2_s, issued_s = _transfer(ops["bytes"], _rows(ops), machine, p)
    total: Floats = p["launch_us"] * 1e-6 + memory_s + l2_s + issued_s
    return total


def transfer_s(moved: Floats, blocks: Floats, machine: Machine, p: Values) -> Floats:
    """Return what blocks take that move so many bytes between them, without a launch, float64[n].

    Parameters
    ----------
    moved, blocks
        float64[n], bytes and number.
    machine
        The device.
    p
        Those of `PARAMETERS`.
    """
    memory_s, l2_s, issued_s = _transfer(moved, blocks, machine, p)
    total: Floats = memory_s + l2_s + issued_s
    return total


def _transfer(
    moved: Floats, blocks: Floats, machine: Machine, p: Values
) -> tuple[Floats, Floats, Floats]:
    """Return the seconds of memory, of L2, and of issuing blocks."""
    miss = miss_share(moved, p["l2_share"] * machine.l2_bytes, p["l2_sharp"])
    drawn = np.minimum(blocks, machine.sms) * p["sm_gbs"] * 1e9
    memory_s = miss * moved / soft_min(p["hbm_eff"] * machine.bytes_per_s, drawn)
    l2_s = (1.0 - miss) * moved / soft_min(p["l2_speed"] * machine.bytes_per_s, drawn)
    issued_s = np.ceil(blocks / machine.sms) * p["block_ns"] * 1e-9
    return memory_s, l2_s, issued_s


@once
def _rows(ops: OpTable) -> Floats:
    asked = np.where(ops["m"] > 0, ops["m"], np.ceil(ops["bytes"] / ROW_BYTES))
    return np.maximum(asked, 1.0)


@once
def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of rows, of what each moves, and of all bytes."""
    rows = np.log2(_rows(ops))
    moved = np.log2(np.maximum(ops["bytes"], 1.0))
    return {"rows": rows, "row_bytes": moved - rows, "bytes": moved}


ELEMENTWISE = Kernel(
    "elementwise",
    ("rows",),
    PARAMETERS,
    seconds,
    coordinates,
)
