"""Collectives: a protocol for small messages and one for large, whichever is faster.

Small messages cost a latency for each doubling of the devices and run at a fraction of the link;
large ones run in rings, at the traffic that one device sends (`roofline.bus_bytes`). Rates are in
GB/s of the links that were measured, so a fit belongs to the device with its links. The schedules:

- ``both``: whichever is faster, small messages with a ring's traffic;
- ``small``: the protocol for small messages alone;
- ``direct``: as ``both``, small messages of an all-reduce sent whole to every other device;
- ``staged``: as ``direct``, changed where vLLM's own all-reduce changes (`one_stage`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

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
    "wider": Parameter(1.0, 0.05, 4.0, "what twice the devices make of both rates, 1", 1.0),
    "soft": Parameter(4.0, 1.0, 20.0, "how sharply the faster takes over: a norm, 1", 1e3),
}
ONE_STAGE = ((4.0, 512.0 * 1024.0), (8.0, 256.0 * 1024.0))
"""Devices up to which an all-reduce smaller than so many bytes takes one stage (vLLM's
``csrc/custom_all_reduce.cuh``); two devices always do."""


def _seconds(op: str) -> Callable[[OpTable, Machine, str, Values], Floats]:
    def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
        devices = np.maximum(ops["devices"], 2.0)
        sent = bus_bytes(op, ops)
        straight = op == "all_reduce" and schedule in ("direct", "staged")
        whole = ops["bytes"] * (devices - 1.0) if straight else sent
        wider = 1e3 * p["wider"] ** (np.log2(devices) - 1.0)
        small_us = p["hop_us"] * np.log2(devices) + whole / (p["small_gbs"] * wider)
        ring_us = p["ring_us"] + p["step_us"] * (devices - 1.0)
        ring_us = ring_us + (sent + p["ramp_kb"] * 1e3) / (p["ring_gbs"] * wider)
        faster = {"small": _first, "staged": _staged}.get(schedule, _faster)
        total: Floats = (p["launch_us"] + faster(ops, small_us, ring_us, p)) * 1e-6
        return total

    return seconds


def _faster(ops: OpTable, small_us: Floats, ring_us: Floats, p: Values) -> Floats:
    """Return the smaller, less sharply where their speeds are alike."""
    soft = -p["soft"]
    low = np.minimum(small_us, ring_us)
    ratio = np.maximum(small_us, ring_us) / low
    found: Floats = low * (1.0 + ratio**soft) ** (1.0 / soft)
    return found


def _first(ops: OpTable, small_us: Floats, ring_us: Floats, p: Values) -> Floats:
    return small_us


def _staged(ops: OpTable, small_us: Floats, ring_us: Floats, p: Values) -> Floats:
    return np.where(one_stage(ops), small_us, ring_us)


def one_stage(ops: OpTable) -> NDArray[np.bool_]:
    """Say which messages vLLM's own all-reduce sends to all at once, bool[n]."""
    devices = ops["devices"]
    most = np.select([devices <= d for d, _ in ONE_STAGE], [b for _, b in ONE_STAGE], 0.0)
    found: NDArray[np.bool_] = (devices <= 2.0) | (ops["bytes"] < most)
    return found


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return the coordinates, and what one device sends over its time."""
    at = dict(coordinates(ops))
    one = one_stage(ops).astype(np.float64)
    rate = at["bytes"] - np.log2(seconds)
    return {**at, "seconds": np.log2(seconds), "one_stage": one, "rate": rate}


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of the payload, from 1 KiB in half octaves, and of the devices."""
    payload = np.log2(np.maximum(ops["bytes"], 1.0))
    return {"bytes": payload, "devices": np.log2(np.maximum(ops["devices"], 1.0))}


COLLECTIVES = {
    op: Kernel(op, schedules, PARAMETERS, _seconds(op), coordinates, features)
    for op, schedules in (
        ("all_reduce", ("both", "small", "direct", "staged")),
        ("all_gather", ("both", "small")),
        ("reduce_scatter", ("both", "small")),
        ("all_to_all", ("both", "small")),
    )
}
"""Operation -> its model."""
