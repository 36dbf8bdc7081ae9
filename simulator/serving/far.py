"""KV that a design places below HBM: where it lies, its room, and what bringing it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import simpy

from tierlab.hwmodels.device import Device
from tierlab.hwmodels.system import System
from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.network.network import Network
from tierlab.simulator.serving.places import GROUPS

MECHANISM = "batched"
PIECES_PER_LAYER = 2
"""Keys and values."""
_LARGE_BYTES = 1e9
"""Of a copy whose issue and latency are small beside its bytes."""


def nodes_of(system: System, tier: str) -> Mapping[str, Device]:
    """Return the nodes of a tier, by name.

    Raises
    ------
    BadInput
        The system has none.
    """
    nodes: Mapping[str, Device] = getattr(system, GROUPS[tier])()
    if not nodes:
        raise BadInput(
            "design.placement",
            f"{system.name} has no {tier}",
            "another placement, or hardware that has it (`tierlab list hardware`)",
        )
    return nodes


def room_bytes(system: System, tier: str) -> float:
    """Return the bytes of all nodes of a tier."""
    return sum(node.capacity_bytes for node in nodes_of(system, tier).values())


@dataclass(frozen=True)
class CopyCost:
    """What the copies of one step cost, each layer's after those of the layer before.

    Attributes
    ----------
    latency_s, issue_s
        Of all layers.
    s_per_byte
        Of the bytes of one GPU, while the others copy too.
    """

    latency_s: float
    issue_s: float
    s_per_byte: float

    def seconds(self, nbytes: float) -> float:
        """Return how long the copies of a step take: ``latency + max(issue, bytes / rate)``."""
        return self.latency_s + max(self.issue_s, nbytes * self.s_per_byte)


def copy_cost(system: System, tier: str, layers: int, gpus: int) -> CopyCost:
    """Return what bringing KV from a tier to HBM costs while `gpus` GPUs do so.

    All copy all the time: what the links and media leave each of them then (max-min), whatever
    the others really do.

    Raises
    ------
    BadInput
        The system has no such tier, or nothing connects it to a GPU.
    """
    chosen = list(system.gpus())[:gpus]
    network = Network(simpy.Environment(), system, keep_records=False)
    pairs = list(zip(sources_of(system, tier, chosen), chosen, strict=True))
    route = network.route(*pairs[0], MECHANISM)
    issue_s = route.cost(0.0, PIECES_PER_LAYER).issue_s
    rate = min(_rates(system, pairs))
    return CopyCost(layers * route.latency_s, layers * issue_s, 1.0 / rate)


def sources_of(system: System, tier: str, gpus: list[str]) -> list[str]:
    """Return the node of a tier that each GPU's KV lies on; of equally near ones they take turns.

    Raises
    ------
    BadInput
        The system has no such tier.
    """
    nodes = list(nodes_of(system, tier))
    near = (system.nearest(gpu, nodes) or nodes for gpu in gpus)
    return [chosen[index % len(chosen)] for index, chosen in enumerate(near)]


def _rates(system: System, pairs: list[tuple[str, str]]) -> list[float]:
    """Return the bytes a second that each copy gets while all of them go on."""
    env = simpy.Environment()
    network, ends = Network(env, system, keep_records=False), list[float]()
    for source, gpu in pairs:
        network.submit(
            source,
            gpu,
            _LARGE_BYTES,
            cause="selection",
            pieces=PIECES_PER_LAYER,
            mechanism=MECHANISM,
            then=lambda _: ends.append(env.now),
        )
    env.run()
    latency_s = network.route(*pairs[0], MECHANISM).latency_s
    return [_LARGE_BYTES / (end - latency_s) for end in ends]
