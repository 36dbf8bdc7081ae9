"""NCCL's collectives: what each protocol takes, where its tuner takes it (`nccl_tuner`).

LL costs a step from each device to the next, more from where on several channels share a message
(``NCCL_LL_THREAD_THRESHOLD``: 512 threads of 8 bytes for each device), or its bytes. Others cost
a start and their bytes; large messages add another one, as their chunks go round more often.
Schedules:

- ``rings``: all-reduce, all-gather and reduce-scatter, by protocol;
- ``peers``: sends and receives of an all-to-all by NCCL 2.28 and later, whose number of channels
  grows with a peer's bytes, one for each 64 KiB (``src/enqueue.cc``): LL up to 16 KiB of it;
- ``channels``: the same before, spread over all channels: LL up to 16 KiB for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.roofline import bus_bytes
from tierlab.hwmodels.time.silicon.collective import coordinates
from tierlab.hwmodels.time.silicon.kernel import (
    Features,
    Floats,
    Kernel,
    Parameter,
    Values,
    soft_max,
)
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.nccl_tuner import (
    LL,
    LL128,
    NVLS,
    SEND_LL_BYTES,
    by_ll,
    fabric,
    way,
)
from tierlab.kernels.ops.table import OpTable

MARK = "nccl"
RINGS, PEERS, CHANNELS = "rings", "peers", "channels"
_SENDS = (PEERS, CHANNELS)
_FIRM = 10.0
"""Of shapes that some sixty measurements hardly tell; chosen by leaving out sizes within the fitted
sizes of 20 kernels (2026-11-21)."""


def shape(start: float, low: float, high: float, meaning: str) -> Parameter:
    """Return a parameter that is held firmly to where it starts."""
    return Parameter(start, low, high, meaning, firm=_FIRM)


_BOTH: dict[str, Parameter] = {
    "launch_us": Parameter(4.0, 0.2, 60.0, "before any work, us"),
    "hop_us": Parameter(1.0, 0.01, 30.0, "a step to the next device, LL, us"),
    "chain": shape(1.0, 0.01, 1.5, "how LL's latency grows with the steps: a power, 1"),
    "ll_rate": shape(0.4, 0.05, 4.0, "of Simple's rate, LL's, 1"),
    "bend": shape(1.5, 1.01, 6.0, "how sharply LL starts to cost by size: a norm, 1"),
    "simple_us": Parameter(20.0, 0.1, 300.0, "Simple between two devices, us"),
    "simple_chain": shape(0.4, 0.01, 1.5, "how that grows with the steps: a power, 1"),
    "simple_gbs": Parameter(200.0, 0.5, 4000.0, "Simple between two devices, GB/s"),
    "wider": Parameter(1.0, 0.05, 4.0, "what twice the devices make of all rates, 1"),
    "host": Parameter(0.25, 0.01, 2.0, "what more than two devices make of them by PCIe, 1"),
    "late": shape(1.0, 0.01, 50.0, "of Simple's start, what large messages add, 1"),
    "late_mb": shape(20.0, 0.5, 500.0, "sent bytes at which half of that is added, MB"),
    "simple_bend": shape(1.5, 1.01, 6.0, "how sharply Simple starts to cost: a norm, 1"),
}
OF_RINGS = _BOTH | {
    "more_us": Parameter(1.0, 0.01, 20.0, "LL on several channels, not one, us"),
    "ll128_start": shape(0.75, 0.02, 4.0, "of Simple's start, LL128's, 1"),
    "ll128_rate": shape(0.75, 0.1, 4.0, "of Simple's rate, LL128's, 1"),
    "nvls_start": shape(0.8, 0.02, 4.0, "of Simple's start, the switch's, 1"),
    "nvls_rate": shape(1.15, 0.1, 4.0, "of Simple's rate, the switch's, 1"),
}
OF_SENDS = _BOTH | {
    "channel_gbs": Parameter(20.0, 0.5, 500.0, "one channel to one peer by Simple, GB/s"),
}
_MEASURED = 2.0
"""Doublings from two devices to the most that public tables have."""
_LL_CHANNEL = 4096.0
"""Bytes for each device from which on LL takes several channels."""
_PART = 65536.0
"""Bytes from which on a send takes another channel: an eighth of ``NCCL_P2P_NVL_CHUNKSIZE``."""


def rings(op: str) -> Callable[[OpTable, Machine, str, Values], Floats]:
    """Return what an operation takes in rings, or through the switch: a `Kernel.seconds`."""

    def seconds(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
        hops, sent, ways = _hops(ops), bus_bytes(op, ops), way(ops, op, machine)
        bytes_us = _bytes_us(hops, sent, machine, p)
        more_us = p["more_us"] * np.sqrt(hops) * _several(hops, sent, op)
        ll_us = _ll_us(hops, more_us, bytes_us, machine, p)
        first, rate = np.ones((2, 4))
        first[[LL128, NVLS]] = p["ll128_start"], p["nvls_start"]
        rate[[LL128, NVLS]] = p["ll128_rate"], p["nvls_rate"]
        start_us = p["simple_us"] * hops ** p["simple_chain"] * first[ways]
        late_us = np.where(ways == LL128, 0.0, _late_us(start_us, sent, p))
        others_us = soft_max(start_us, bytes_us / rate[ways], p["simple_bend"]) + late_us
        total: Floats = (p["launch_us"] + np.where(ways == LL, ll_us, others_us)) * 1e-6
        return total

    return seconds


def _sends(ops: OpTable, machine: Machine, schedule: str, p: Values) -> Floats:
    hops, sent = _hops(ops), bus_bytes("all_to_all", ops)
    each, bytes_us = sent / hops, _bytes_us(hops, sent, machine, p)
    part_us, ll_us = (
        np.minimum(each, most) / (1e3 * p["channel_gbs"]) for most in (_PART, SEND_LL_BYTES)
    )
    quick_us = _ll_us(hops, 2.0 * ll_us, bytes_us, machine, p)
    start_us = p["simple_us"] * hops ** p["simple_chain"]
    slow_us = start_us + soft_max(part_us, bytes_us, p["simple_bend"])
    quick = by_ll(ops, machine, one=schedule == PEERS)
    taken_us = np.where(quick, quick_us, slow_us + _late_us(start_us, sent, p))
    total: Floats = (p["launch_us"] + taken_us) * 1e-6
    return total


def _hops(ops: OpTable) -> Floats:
    found: Floats = np.maximum(ops["devices"], 2.0) - 1.0
    return found


def _several(hops: Floats, sent: Floats, op: str) -> Floats:
    """Return how far a message is past what one channel takes by LL: 0 to 1."""
    each = np.maximum(sent / hops, 1.0) * (0.5 if op == "all_reduce" else 1.0)
    found: Floats = 1.0 / (1.0 + np.square(_LL_CHANNEL / each))
    return found


def _ll_us(hops: Floats, more_us: Floats, bytes_us: Floats, machine: Machine, p: Values) -> Floats:
    """Return what LL takes beside the launch, us; two cards' bytes add to its latency."""
    start_us, taken_us = p["hop_us"] * hops ** p["chain"] + more_us, bytes_us / p["ll_rate"]
    bent_us = soft_max(start_us, taken_us, p["bend"])
    if fabric(machine) != "pcie":
        return bent_us
    found: Floats = np.where(hops > 1.0, bent_us, start_us + taken_us)
    return found


def _bytes_us(hops: Floats, sent: Floats, machine: Machine, p: Values) -> Floats:
    """Return what bytes take by Simple, us.

    NVLink is nearly full with four devices; by PCIe more than two share their host, and beyond the
    eight that were measured twice as many get half each at worst.
    """
    doublings = np.log2(hops + 1.0) - 1.0
    if fabric(machine) == "pcie":
        measured = np.minimum(doublings, _MEASURED)
        shared = p["wider"] ** (measured - 1.0) * max(p["wider"], 0.5) ** (doublings - measured)
        wider = np.where(hops > 1.0, p["host"] * shared, 1.0)
    else:
        wider = p["wider"] ** ((1.0 - 0.25**doublings) / 0.75)
    found: Floats = sent / (1e3 * p["simple_gbs"] * wider)
    return found


def _late_us(start_us: Floats, sent: Floats, p: Values) -> Floats:
    found: Floats = p["late"] * start_us * (sent / (sent + 1e6 * p["late_mb"]))
    return found


def _features(op: str) -> Features:
    def features(
        ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
    ) -> Mapping[str, Floats]:
        """Return the coordinates, the time, and the way that a message takes."""
        taken: NDArray[np.int64] | NDArray[np.bool_] = (
            way(ops, op, machine)
            if schedule == RINGS
            else by_ll(ops, machine, one=schedule == PEERS)
        )
        at = {"seconds": np.log2(seconds), "way": taken.astype(np.float64)}
        return {**coordinates(ops), **at}

    return features


MODELS = (
    *(
        Kernel(op, (RINGS,), OF_RINGS, rings(op), coordinates, _features(op), curved=True)
        for op in ("all_reduce", "all_gather", "reduce_scatter")
    ),
    Kernel(
        "all_to_all", _SENDS, OF_SENDS, _sends, coordinates, _features("all_to_all"), curved=True
    ),
)
"""One for each operation."""
