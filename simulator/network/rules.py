"""Constraints: everything of a system whose rate the copies through it must share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.device import Gpu, Host, Store
from tierlab.hwmodels.system import Edge, System


@dataclass
class Rules:
    """Named constraints, in units a second: bytes, or commands of a drive.

    A link has one for each direction and one for both together (what the platform reaches with
    both directions busy). HBM and host DRAM have one for reading and writing together, a CXL
    module and a drive one each; a drive has one more for its read and its write commands. What a
    GPU reaches through a link that states `gpu_dma_bytes_per_s` is one for each direction. A drive
    whose mixture of reads and writes was measured has one for both.
    """

    index: dict[str, int] = field(default_factory=dict)
    capacity: list[float] = field(default_factory=list)

    def add(self, name: str, capacity: float) -> None:
        """Enter a constraint."""
        self.index[name] = len(self.capacity)
        self.capacity.append(capacity)

    def array(self) -> NDArray[np.float64]:
        """Return the capacities, float64[r]."""
        return np.array(self.capacity, np.float64)


def rules_of(system: System) -> Rules:
    """Return the constraints of a system, links first, in the order of its file."""
    rules = Rules()
    for edge in system.edges:
        _add_link(rules, edge, list(system.gpus()))
    for node, device in system.nodes.items():
        if isinstance(device, Gpu):
            rules.add(f"{node}:hbm", device.memory_bandwidth_bytes_per_s)
        elif isinstance(device, Host):
            rules.add(f"{node}:dram", device.memory_bandwidth_bytes_per_s)
        elif isinstance(device, Store):
            _add_store(rules, node, device)
            if is_mixed(system, node):
                fastest = max(device.read_bytes_per_s, device.write_bytes_per_s)
                mixed = system.measured[node].mixed_bytes_per_s
                rules.add(f"{node}:both", max(mixed, fastest))
    return rules


def is_mixed(system: System, node: str) -> bool:
    """Say whether it was measured what a drive's reads and writes reach together."""
    found = system.measured.get(node)
    return found is not None and found.mixed_bytes_per_s > 0


def _add_link(rules: Rules, edge: Edge, gpus: list[str]) -> None:
    link = edge.link
    rules.add(f"{edge.name}:down", link.down_bytes_per_s)
    rules.add(f"{edge.name}:up", link.up_bytes_per_s)
    either = max(link.down_bytes_per_s, link.up_bytes_per_s)
    rules.add(f"{edge.name}:both", max(link.both_bytes_per_s, either))
    if link.gpu_dma_bytes_per_s is not None:
        for gpu in gpus:
            for way in ("down", "up"):
                rules.add(f"{edge.name}:{way}:{gpu}", link.gpu_dma_bytes_per_s)


def _add_store(rules: Rules, node: str, device: Store) -> None:
    rules.add(f"{node}:read", device.read_bytes_per_s)
    rules.add(f"{node}:write", device.write_bytes_per_s)
    for way in ("read", "write"):
        commands_per_s = getattr(device, f"random_{way}_per_s", None)
        if commands_per_s is not None:
            rules.add(f"{node}:{way}-commands", commands_per_s)
