"""Where a replica and its tiers are in the hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tierlab.hwmodels.system import System
from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.tiers.spec import TierSpec

GROUPS = {"dram": "hosts", "cxl": "cxl", "ssd": "ssds"}
"""Tier -> the nodes of a system that it lives on, unless its `device` says."""


@dataclass(frozen=True)
class Places:
    """One replica's nodes.

    Attributes
    ----------
    gpus
        Its GPUs, one a rank.
    nodes
        Tier -> its nodes, over which its bytes are interleaved.
    hbm_bytes_per_s
        Of one GPU.
    """

    gpus: tuple[str, ...]
    nodes: Mapping[str, tuple[str, ...]]
    hbm_bytes_per_s: float

    def ways(self, tier: str) -> int:
        """Return how many copies make one between a tier and HBM."""
        return len(self.gpus) * len(self.nodes[tier])


def find_places(system: System, specs: Sequence[TierSpec], replicas: int, tp: int) -> list[Places]:
    """Return where each replica and its tiers are.

    A tier lives on the nearest nodes of its kind. Where several are equally near, replicas divide
    them or take turns, and a shared tier has them all.

    Raises
    ------
    BadInput
        The system has no such node, nothing connects it to the GPUs, or what lives on a node is
        larger than it.
    """
    gpus = list(system.gpus())
    out = []
    for index in range(replicas):
        own = tuple(gpus[index * tp : (index + 1) * tp])
        nodes = {spec.name: _nearest(system, spec, own[0], index, replicas) for spec in specs}
        out.append(Places(own, nodes, system.gpu.memory_bandwidth_bytes_per_s))
    _check_room(system, specs, out)
    return out


def _nearest(
    system: System, spec: TierSpec, gpu: str, index: int, replicas: int
) -> tuple[str, ...]:
    nearest = system.nearest(gpu, _candidates(system, spec))
    if not nearest:
        raise BadInput(f"tiers.{spec.name}.device", f"nothing connects it to {gpu}", "a link")
    if spec.shared:
        return tuple(nearest)
    each = max(len(nearest) // replicas, 1)
    first = index * each % len(nearest)
    return tuple(nearest[first : first + each])


def _candidates(system: System, spec: TierSpec) -> list[str]:
    """Return the nodes that a tier may live on: a node, a group, or a kind."""
    return nodes_called(system, spec.device or spec.name, f"tiers.{spec.name}.device")


def nodes_called(system: System, device: str, where: str) -> list[str]:
    """Return the nodes that a name stands for: a node, a group, or the kind of a tier.

    Raises
    ------
    BadInput
        The system has none.
    """
    if device in system.nodes:
        return [device]
    if device in system.groups:
        return list(system.groups[device])
    if device in GROUPS and (found := list(getattr(system, GROUPS[device])())):
        return found
    raise BadInput(
        where,
        f"{system.name} has no {device}",
        f"one of {', '.join(system.nodes)}, or hardware that has it (`tierlab list hardware`)",
    )


def _check_room(system: System, specs: Sequence[TierSpec], places: Sequence[Places]) -> None:
    """Refuse tiers that are larger than the memory that they live in."""
    asked: dict[str, float] = {}
    for spec in specs:
        for place in places[:1] if spec.shared else places:
            nodes = place.nodes[spec.name]
            for node in nodes:
                asked[node] = asked.get(node, 0.0) + spec.capacity_bytes / len(nodes)
    for node, nbytes in asked.items():
        has = system.nodes[node].capacity_bytes
        if nbytes > has:
            raise BadInput(
                "tiers", f"{nbytes:.4g} B on {node} of {system.name}", f"at most {has:.4g} B"
            )
