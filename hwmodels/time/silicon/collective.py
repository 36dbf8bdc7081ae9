"""Collectives: a protocol for small messages and one for large, whichever is faster.

Small messages cost a latency for each doubling of the devices and run at a fraction of the link;
large ones run in rings, at the traffic that one device sends (`roofline.bus_bytes`). Rates are in
GB/s of the links that were measured, so a fit belongs to the device with its links.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tierlab.hwmodels.time.roofline import bus_bytes
from tierlab.hwmodels.time.silicon.kernel import Floats, Kernel, Parameter, Values
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.table import OpTable

PARAMETERS: dict[str, Parameter] = {
    "launch_us": Parameter(4.0, 0.2, 60.0, "before any work, us"),
    "hop_us": Parameter(1.0, 0.01, 30.0, "per doubling of the devices, small messages, us"),
    "small_gbs": Parameter(60.0, 0.2, 2000.0, "small messages, GB/s"),
    "ring_us": Parameter(5.0, 0.05, 200.0, "a ring's start, us"),
    "step_us": Parameter(1.0, 0.01, 30.0, "a ring's step from one device to the next, us"),
    "ring_gbs": Parameter(200.0, 0.5, 2000.0, "rings, GB/s of what a device sends"),
    "ramp_kb": Parameter(500.0, 1.0, 50000.0, "message at which half of that is reached, KB"),
}


def _seconds(op: str) -> Callable[[OpTable, Machine, str, Values], Floats]:
    def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
        devices = np.maximum(ops["devices"], 2.0)
        sent = bus_bytes(op, ops)
        small_us = p["hop_us"] * np.log2(devices) + sent / (p["small_gbs"] * 1e3)
        ramp = sent + p["ramp_kb"] * 1e3
        ring_us = p["ring_us"] + p["step_us"] * (devices - 1.0) + ramp / (p["ring_gbs"] * 1e3)
        if schedule == "small":
            ring_us = small_us
        total: Floats = (p["launch_us"] + np.minimum(small_us, ring_us)) * 1e-6
        return total

    return seconds


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of the payload, from 1 KiB in half octaves, and of the devices."""
    payload = np.log2(np.maximum(ops["bytes"], 1.0))
    return {"bytes": payload, "devices": np.log2(np.maximum(ops["devices"], 1.0))}


COLLECTIVES = {
    op: Kernel(op, ("both", "small"), PARAMETERS, _seconds(op), coordinates)
    for op in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
}
"""Operation -> its model."""
