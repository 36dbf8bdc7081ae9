"""vLLM's own all-reduce, and what it leaves to NCCL.

By size a message takes one stage (each device sends all of it to all others), two, symmetric memory
(the switch adds up), or NCCL, which then chooses by its tuner (`nccl`). Among 3, 5 or 7 devices all
take NCCL (``_SUPPORTED_WORLD_SIZES``). Without NVLink two devices take one stage, and more of them
NCCL alone: "not supported on more than two PCIe-only GPUs" (``custom_all_reduce.py`` of
vllm-project/vllm, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.roofline import bus_bytes
from tierlab.hwmodels.time.silicon import collective, nccl, nccl_tuner
from tierlab.hwmodels.time.silicon.kernel import (
    Floats,
    Kernel,
    Parameter,
    Values,
    generation,
    soft_max,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.table import OpTable

MARK = "vllm_custom"
SCHEDULE = "own"
ONE, TWO, SYMMETRIC, RINGS = range(4)
PARAMETERS = nccl.OF_RINGS | {
    "simple_us": nccl.shape(15.0, 0.1, 300.0, "NCCL's Simple between two devices, us"),
    "hop_us": Parameter(2.0, 0.01, 30.0, "a step to the next device, NCCL's LL, us"),
    "one_us": Parameter(1.0, 0.01, 30.0, "one stage, per doubling of the devices, us"),
    "one_gbs": Parameter(60.0, 0.2, 4000.0, "one stage, GB/s to one other"),
    "one_wider": nccl.shape(1.5, 0.05, 4.0, "what twice the devices make of that, 1"),
    "one_bend": nccl.shape(1.5, 1.01, 6.0, "how sharply one stage starts to cost: a norm, 1"),
    "two_us": Parameter(4.0, 0.05, 60.0, "two stages between two devices, us"),
    "two_chain": nccl.shape(0.8, 0.01, 1.5, "how that grows with the others: a power, 1"),
    "two_rate": nccl.shape(1.0, 0.05, 10.0, "of NCCL's Simple between two, two stages' rate, 1"),
    "symmetric_us": Parameter(8.0, 0.05, 60.0, "through symmetric memory, us"),
    "symmetric_gbs": Parameter(200.0, 0.5, 4000.0, "likewise, GB/s"),
}
"""Over NVLink no measured message goes by LL, and few by Simple: LL's step starts, and stays, where
NCCL's own tables have it (1.7 to 2.7 us), Simple's start is held to theirs (13 to 27 us), which is
all that more than eight GPUs would take."""


ONE_STAGE = ((4.0, 512.0 * 1024.0), (8.0, 256.0 * 1024.0))
"""Devices up to which an all-reduce smaller than so many bytes takes one stage (vLLM's
``csrc/custom_all_reduce.cuh``); two devices always do."""

OWN_MIB = {
    "older": ((8.0, 8.0),),
    "hopper": ((4.0, 8.0), (6.0, 0.5), (8.0, 0.25)),
    "blackwell": ((4.0, 2.0), (8.0, 1.0)),
}
"""Devices up to which messages smaller than so much go vLLM's own way; 8 MiB where nothing else
is set, for no more than 8 devices (0.24.0, ``custom_all_reduce.py``, its `_SUPPORTED_WORLD_SIZES`
and `CUSTOM_ALL_REDUCE_MAX_SIZES`)."""
SYMMETRIC_MIB = {
    "older": ((np.inf, 0.0),),
    "hopper": ((2.0, 64.0), (4.0, 32.0), (8.0, 64.0)),
    "blackwell": ((2.0, 8.0), (4.0, 32.0), (8.0, 128.0)),
}
"""Likewise, beyond those, through symmetric memory (`SYMM_MEM_ALL_REDUCE_MAX_SIZES`)."""


@once
def way(ops: OpTable, machine: Machine) -> NDArray[np.int64]:
    """Return `ONE`, `TWO`, `SYMMETRIC` or `RINGS` of each message, int64[n]."""
    odd = (ops["devices"] > 1.0) & (ops["devices"] % 2.0 != 0.0)
    taken = np.where(odd, RINGS, _linked(ops, machine))
    if nccl_tuner.fabric(machine) == "pcie":
        return np.where(ops["devices"] > 2.0, RINGS, taken)
    return taken


def one_stage(ops: OpTable) -> NDArray[np.bool_]:
    """Say which messages vLLM's own all-reduce sends to all at once, bool[n]."""
    devices = ops["devices"]
    most = np.select([devices <= d for d, _ in ONE_STAGE], [b for _, b in ONE_STAGE], 0.0)
    found: NDArray[np.bool_] = (devices <= 2.0) | (ops["bytes"] < most)
    return found


def _linked(ops: OpTable, machine: Machine) -> NDArray[np.int64]:
    """Return the way by sizes alone, as over NVLink, int64[n]."""
    kind = generation(machine)
    own, symmetric = (_most(ops, sizes[kind]) for sizes in (OWN_MIB, SYMMETRIC_MIB))
    payload = ops["bytes"]
    beyond = np.where(payload >= np.maximum(own, symmetric), RINGS, SYMMETRIC)
    return np.where(payload < own, np.where(one_stage(ops), ONE, TWO), beyond)


def _most(ops: OpTable, sizes: tuple[tuple[float, float], ...]) -> Floats:
    devices, most = ops["devices"], [np.full(len(ops), mib * 2.0**20) for _, mib in sizes]
    found: Floats = np.select([devices <= d for d, _ in sizes], most, 0.0)
    return found


def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    """Return the time of each message, s, float64[n]."""
    others = np.maximum(ops["devices"], 2.0) - 1.0
    payload = np.where(ops["devices"] > 1.0, ops["bytes"], 0.0)
    doublings, sent = np.log2(others + 1.0), bus_bytes("all_reduce", ops)
    each_us = payload * others / (1e3 * p["one_gbs"] * p["one_wider"] ** (doublings - 1.0))
    one_us = soft_max(p["one_us"] * doublings, each_us, p["one_bend"])
    two_us = p["two_us"] * others ** p["two_chain"] + sent / (1e3 * p["two_rate"] * p["simple_gbs"])
    symmetric_us = p["symmetric_us"] + payload / (1e3 * p["symmetric_gbs"])
    ringed = nccl.rings("all_reduce")(ops, machine, schedule, p)
    own_us = np.choose(np.minimum(way(ops, machine), SYMMETRIC), (one_us, two_us, symmetric_us))
    own = (p["launch_us"] + own_us) * 1e-6
    found: Floats = np.where(way(ops, machine) == RINGS, ringed, own)
    return found


def features(
    ops: OpTable, machine: Machine, schedule: str, p: Values, took: Floats
) -> Mapping[str, Floats]:
    """Return the coordinates, the time, and the way: NCCL's ways are apart."""
    own, rings = way(ops, machine), nccl_tuner.way(ops, "all_reduce", machine)
    ways = np.where(own == RINGS, RINGS + rings, own).astype(np.float64)
    return {**collective.coordinates(ops), "seconds": np.log2(took), "way": ways}


MODELS = (
    Kernel(
        "all_reduce", (SCHEDULE,), PARAMETERS, seconds, collective.coordinates, features,
        curved=True,
    ),
)  # fmt: skip
