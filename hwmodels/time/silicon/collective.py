"""Collectives: a protocol for small messages and one for large, whichever is faster.

Small messages cost a latency for each doubling of the devices and run at a fraction of the link;
large ones run in rings, at the traffic that one device sends (`roofline.bus_bytes`). Rates are in
GB/s of the links that were measured, so a fit belongs to the device with its links. The schedules:

- ``both``: whichever is faster, small messages with a ring's traffic;
- ``small``: the protocol for small messages alone;
- ``direct``: as ``both``, small messages of an all-reduce sent whole to every other device;
- ``ways``: the way that vLLM's all-reduce takes (`way`), each at a latency and a rate of its own;
- ``switched``: small messages until one size, rings from there on, be they slower: NCCL changes its
  protocol by what it expects, which often is a step up. Small messages cost a chain of hops, until
  their bytes cost more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.roofline import bus_bytes
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    generation,
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
    "two_us": Parameter(4.0, 0.05, 60.0, "two stages between two devices, us", 1.0),
    "two_gbs": Parameter(200.0, 0.5, 4000.0, "two stages, GB/s", 10.0),
    "symmetric_us": Parameter(8.0, 0.05, 60.0, "through symmetric memory, us", 1.0),
    "symmetric_gbs": Parameter(200.0, 0.5, 4000.0, "likewise, GB/s", 10.0),
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
ONE_STAGE = ((4.0, 512.0 * 1024.0), (8.0, 256.0 * 1024.0))
"""Devices up to which an all-reduce smaller than so many bytes takes one stage (vLLM's
``csrc/custom_all_reduce.cuh``); two devices always do."""

_ANY = ((np.inf, 8.0),)
OWN_MIB = {
    "older": _ANY,
    "hopper": ((4.0, 8.0), (6.0, 0.5), (8.0, 0.25)),
    "blackwell": ((4.0, 2.0), (8.0, 1.0)),
}
"""Devices up to which messages smaller than so much go vLLM's own way; 8 MiB where nothing else
is set (0.24.0, ``custom_all_reduce.py`` and `CUSTOM_ALL_REDUCE_MAX_SIZES`)."""
SYMMETRIC_MIB = {
    "older": ((np.inf, 0.0),),
    "hopper": ((2.0, 64.0), (4.0, 32.0), (8.0, 64.0)),
    "blackwell": ((2.0, 8.0), (4.0, 32.0), (8.0, 128.0)),
}
"""Likewise, beyond those, through symmetric memory (`SYMM_MEM_ALL_REDUCE_MAX_SIZES`)."""


def _seconds(op: str) -> Callable[[OpTable, Machine, str, Values], Floats]:
    def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
        devices = np.maximum(ops["devices"], 2.0)
        sent = bus_bytes(op, ops)
        wider = 1e3 * p["wider"] ** (np.log2(devices) - 1.0)
        ring_us = p["ring_us"] + p["step_us"] * (devices - 1.0)
        ring_us = ring_us + (sent + p["ramp_kb"] * 1e3) / (p["ring_gbs"] * wider)
        if schedule == "ways":
            taken_us = _taken(ops, machine, sent, ring_us, p)
        else:
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


def _taken(ops: OpTable, machine: Machine, sent: Floats, ring_us: Floats, p: Values) -> Floats:
    """Return what the way of each message takes, us.

    Through symmetric memory the switch adds up, so that a device sends each byte once.
    """
    devices, payload = np.maximum(ops["devices"], 2.0), ops["bytes"]
    doublings = np.log2(devices)
    wider = 1e3 * p["small_wider"] ** (doublings - 1.0)
    one_us = p["hop_us"] * doublings + payload * (devices - 1.0) / (p["small_gbs"] * wider)
    two_us = p["two_us"] * (devices - 1.0) ** p["chain"] + sent / (p["two_gbs"] * wider)
    symmetric_us = p["symmetric_us"] + payload / (p["symmetric_gbs"] * 1e3)
    found: Floats = np.choose(way(ops, machine), (one_us, two_us, symmetric_us, ring_us))
    return found


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


def one_stage(ops: OpTable) -> NDArray[np.bool_]:
    """Say which messages vLLM's own all-reduce sends to all at once, bool[n]."""
    devices = ops["devices"]
    most = np.select([devices <= d for d, _ in ONE_STAGE], [b for _, b in ONE_STAGE], 0.0)
    found: NDArray[np.bool_] = (devices <= 2.0) | (ops["bytes"] < most)
    return found


def way(ops: OpTable, machine: Machine) -> NDArray[np.int64]:
    """Return which way vLLM's all-reduce takes, int64[n].

    One stage, two, symmetric memory (where a GPU has it), NCCL: 0 to 3.
    """
    kind = generation(machine)
    own, symmetric = (_most(ops, sizes[kind]) for sizes in (OWN_MIB, SYMMETRIC_MIB))
    payload = ops["bytes"]
    beyond = np.where(payload >= np.maximum(own, symmetric), 3, 2)
    return np.where(payload < own, np.where(one_stage(ops), 0, 1), beyond)


def _most(ops: OpTable, sizes: tuple[tuple[float, float], ...]) -> Floats:
    devices, most = ops["devices"], [np.full(len(ops), mib * 2.0**20) for _, mib in sizes]
    found: Floats = np.select([devices <= d for d, _ in sizes], most, 0.0)
    return found


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
) -> Mapping[str, Floats]:
    """Return the coordinates, what a device sends over its time, and which way is taken."""
    at = dict(coordinates(ops))
    one = one_stage(ops).astype(np.float64)
    rate = at["bytes"] - np.log2(seconds)
    ways = {"one_stage": one, "way": way(ops, machine).astype(np.float64), "past": _past(ops, p)}
    return {**at, "seconds": np.log2(seconds), "rate": rate, **ways}


def coordinates(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of the payload, from 1 KiB in half octaves, and of the devices."""
    payload = np.log2(np.maximum(ops["bytes"], 1.0))
    return {"bytes": payload, "devices": np.log2(np.maximum(ops["devices"], 1.0))}


COLLECTIVES = {
    op: Kernel(op, schedules, PARAMETERS, _seconds(op), coordinates, features, curved=True)
    for op, schedules in (
        ("all_reduce", ("both", "small", "direct", "ways", "switched")),
        ("all_gather", ("both", "small", "switched")),
        ("reduce_scatter", ("both", "small", "switched")),
        ("all_to_all", ("both", "small", "switched")),
    )
}
"""Operation -> its model."""
