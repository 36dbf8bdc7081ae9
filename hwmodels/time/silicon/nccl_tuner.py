"""Which way NCCL takes for a message: its own tuner, with the constants of its sources.

NCCL moves a collective by one of three protocols: LL (8 bytes with a flag in each 16: quick, half
the rate), LL128 (120 bytes of each 128, over NVLink alone) and Simple (whole chunks behind fences),
in a ring, or through the switch that adds up (NVLS). For each it expects a latency and a rate, and
takes the least (`ncclTopoTuneModel`, `ncclTopoGetAlgoTime` in ``src/graph/tuning.cc`` of
NVIDIA/nccl): none of its constants was fitted here. Trees never win within one node: they
have as many hops as a ring there, and half its rate. What it expects is not what it takes: it often
changes to a protocol that is slower for the message at hand (`nccl` fits what each takes).

Sends and receives (all-to-all) go by LL up to 16 KiB a channel, else Simple
(``NCCL_P2P_LL_THRESHOLD`` in ``src/enqueue.cc``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import Floats, generation
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.table import OpTable

LL, LL128, SIMPLE, NVLS = range(4)
_BASE_US = (6.6, 14.0, 8.4)
"""``baseLatencies`` of rings: LL, LL128, Simple."""
_HOP_US = {"nvlink": (0.6, 1.9, 3.4), "pcie": (1.0, 2.5, 5.7)}
"""``hwLatencies`` of rings, for each step from one device to the next."""
_NVLS_US = 25.0
"""``hwLatencies`` of NVLS over NVLink."""
_LL128_SHARE = 0.92


class Fabric(NamedTuple):
    """What the tuner knows of the links within one node.

    Attributes
    ----------
    hop_us
        Of a step, by protocol.
    bus_gbs
        All channels of a ring together: the links of one device (``src/graph/topo.h``: 12 of 20,
        18 of 20.6, 18 of 40.1 GB/s), as rings of whole speeds of ``src/graph/search.cc`` use them.
    ll_gbs
        Most by LL (``llMaxBws``).
    ll128_gbs
        Most by LL128; 0 where it may not run.
    nvls
        Devices from which on the switch adds up, infinite where there is none.
    """

    hop_us: tuple[float, float, float]
    bus_gbs: float
    ll_gbs: float
    ll128_gbs: float
    nvls: float


FABRICS = {
    "ampere": Fabric(_HOP_US["nvlink"], 240.0, 87.7, 240.0 * _LL128_SHARE, np.inf),
    "hopper": Fabric(_HOP_US["nvlink"], 360.0, 141.0, 360.0 * _LL128_SHARE, 8.0),
    "blackwell": Fabric(_HOP_US["nvlink"], 720.0, 282.0, 530.0, 8.0),
    "pcie": Fabric(_HOP_US["pcie"], 24.0, 87.7, 0.0, np.inf),
}
"""By `fabric`. Two numbers are read off 8-bit sums, to which nothing is fitted, and which the
switch cannot add: four GPUs take the same times in 8 and 16 bits up to 8 MiB, so NVLS has eight;
eight B200 take LL for 8 MiB, LL128 for 16 and Simple for 32, so LL128 is expected at 511 to 553
GB/s (2.29.2; the 16 channels x 40 GB/s of older sources are 640)."""
SEND_LL_BYTES = 16384.0
"""``NCCL_P2P_LL_THRESHOLD``, of one channel."""
_SEND_CHANNELS = {"pcie": 2.0}
"""Channels to one peer; over NVLink 32."""


def fabric(machine: Machine) -> str:
    """Return which links join GPUs.

    Cards with fp8 that are neither Hopper's nor Blackwell's big ones (Ada, RTX) have PCIe alone.
    """
    kind = generation(machine)
    if kind != "older":
        return kind
    return "pcie" if "fp8" in machine.flop_per_s else "ampere"


def expected_us(op: str, payload: Floats, devices: Floats, links: Fabric) -> Floats:
    """Return what the tuner expects of LL, LL128, Simple and NVLS, us, float64[4, n].

    Parameters
    ----------
    op
        ``all_reduce``, ``all_gather`` or ``reduce_scatter``.
    payload
        float64[n], bytes; of a gather what all devices bring together.
    devices
        float64[n].
    links
        Between them.
    """
    steps = (devices - 1.0) * (2.0 if op == "all_reduce" else 1.0)
    rates = min(links.ll_gbs, links.bus_gbs * 0.5), links.ll128_gbs, links.bus_gbs
    found = np.full((4, len(payload)), np.inf)
    for way, (base, hop, gbs) in enumerate(zip(_BASE_US, links.hop_us, rates, strict=True)):
        if gbs:
            found[way] = base + steps * hop + payload * steps / (devices * gbs * 1e3)
    if op == "all_reduce":
        switched = _NVLS_US + payload * steps / (devices * links.bus_gbs * 1e3)
        found[NVLS] = np.where(devices >= links.nvls, switched, np.inf)
    return found


@once
def way(ops: OpTable, op: str, machine: Machine) -> NDArray[np.int64]:
    """Return the way of each message in rings, int64[n]."""
    devices = np.maximum(ops["devices"], 2.0)
    payload = ops["bytes"] * (devices if op == "all_gather" else 1.0)
    expected = expected_us(op, payload, devices, FABRICS[fabric(machine)])
    found: NDArray[np.int64] = expected.argmin(axis=0)
    return found


def by_ll(ops: OpTable, machine: Machine, *, one: bool) -> NDArray[np.bool_]:
    """Say which sends of an all-to-all go by LL, bool[n]; by `one` channel, or by all of a peer."""
    channels = 1.0 if one else _SEND_CHANNELS.get(fabric(machine), 32.0)
    found: NDArray[np.bool_] = ops["bytes"] <= channels * SEND_LL_BYTES * np.maximum(
        ops["devices"], 2.0
    )
    return found
