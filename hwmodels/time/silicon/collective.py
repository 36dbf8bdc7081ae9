"""Collectives: a protocol for small messages and one for large, whichever is faster.

Small messages cost a latency for each doubling of the devices and run at a fraction of the link;
large ones run in rings, at the traffic that one device sends (`roofline.bus_bytes`). Rates are in
GB/s of the links that were measured, so a fit belongs to the device with its links. NCCL and vLLM's
own all-reduce are known by name (`nccl`, `own_reduce`), others' tables are read so. The schedules:

- ``both``: whichever is faster, small messages with a ring's traffic;
- ``small``: the protocol for small messages alone;
- ``direct``: as ``both``, small messages of an all-reduce sent whole to every other device;
- ``switched``: small messages until one size, rings from there on, be they slower: NCCL changes its
  protocol by what it expects, which often is a step up. Small messages cost a chain of hops, until
  their bytes cost more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tierlab.hwmodels.time.roofline import bus_bytes
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    soft_max,
)
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
    "switch_kb": Parameter(
        1500.0, 4.0, 50000.0, "message between two devices from which on rings run, KB", 1e3
    ),
    "switch_wider": Parameter(1.0, 0.25, 4.0, "what twice the devices make of that, 1", 1.0),
    "bend": Parameter(
        2.0, 1.01, 6.0, "how sharply small messages start to cost by size: a norm, 1", 1.01
    ),
    "chain": Parameter(
        0.8, 0.01, 1.5, "how a small message's latency grows with devices: a power, 1", 1.0
    ),
    "small_wider": Parameter(
        1.0, 0.05, 4.0, "what twice the devices make of small messages' rate, 1", 1.0
    ),
    "wider": Parameter(1.0, 0.05, 4.0, "what twice the devices make of both rates, 1", 1.0),
    "soft": Parameter(4.0, 1.0, 20.0, "how sharply the faster takes over: a norm, 1", 1e3),
}


def _seconds(op: str) -> Callable[[OpTable, Machine, str, Values], Floats]:
    def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
        devices = np.maximum(ops["devices"], 2.0)
        sent = bus_bytes(op, ops)
        wider = 1e3 * p["wider"] ** (np.log2(devices) - 1.0)
        ring_us = p["ring_us"] + p["step_us"] * (devices - 1.0)
        ring_us = ring_us + (sent + p["ramp_kb"] * 1e3) / (p["ring_gbs"] * wider)
        straight = op == "all_reduce" and schedule == "direct"
        whole = ops["bytes"] * (devices - 1.0) if straight else sent
        small_us = p["hop_us"] * np.log2(devices) + whole / (p["small_gbs"] * wider)
        if schedule == "switched":
            small_us = _chained(devices, whole, p)
        faster = {"small": _first, "switched": _switched}.get(schedule, _faster)
        taken_us = faster(ops, small_us, ring_us, p)
        total: Floats = (p["launch_us"] + taken_us) * 1e-6
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


def _chained(devices: Floats, whole: Floats, p: Values) -> Floats:
    """Return what small messages take, us: hops one after the other, or their bytes."""
    wider = 1e3 * p["small_wider"] ** (np.log2(devices) - 1.0)
    hops_us = p["hop_us"] * (devices - 1.0) ** p["chain"]
    return soft_max(hops_us, whole / (p["small_gbs"] * wider), p["bend"])


def _switched(ops: OpTable, small_us: Floats, ring_us: Floats, p: Values) -> Floats:
    """Return the one, then the other, whichever is faster."""
    after = 1.0 / (1.0 + np.exp2(-p["soft"] * _past(ops, p)))
    found: Floats = small_us ** (1.0 - after) * ring_us**after
    return found


def _past(ops: OpTable, p: Values) -> Floats:
    """Return how many octaves a message lies beyond the size from which on rings run."""
    doublings = np.log2(np.maximum(ops["devices"], 2.0)) - 1.0
    edge = np.log2(p["switch_kb"] * 1e3) + np.log2(p["switch_wider"]) * doublings
    found: Floats = np.log2(np.maximum(ops["bytes"], 1.0)) - edge
    return found


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return the coordinates, the time, and whether a message is beyond the switch."""
    beyond = (_past(ops, p) > 0.0).astype(np.float64) if schedule == "switched" else 0.0
    at = coordinates(ops)
    return {**at, "seconds": np.log2(seconds), "way": np.zeros(len(ops)) + beyond}


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of the payload, from 1 KiB in half octaves, and of the devices."""
    payload = np.log2(np.maximum(ops["bytes"], 1.0))
    return {"bytes": payload, "devices": np.log2(np.maximum(ops["devices"], 1.0))}


COLLECTIVES = {
    op: Kernel(op, schedules, PARAMETERS, _seconds(op), coordinates, features, curved=True)
    for op, schedules in (
        ("all_reduce", ("both", "small", "direct", "switched")),
        ("all_gather", ("both", "small", "switched")),
        ("reduce_scatter", ("both", "small", "switched")),
        ("all_to_all", ("both", "small", "switched")),
    )
}
"""Operation -> its model."""
