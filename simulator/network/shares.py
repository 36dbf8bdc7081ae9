"""What one byte of a copy takes of each constraint on its way."""

from __future__ import annotations

from typing import NamedTuple

from tierlab.hwmodels.device import Gpu, Host, Ssd
from tierlab.hwmodels.system import Edge, System
from tierlab.simulator.network.rules import Rules, is_mixed


class Counted(NamedTuple):
    """Positions of the constraints that count a drive's pages, and its commands.

    The commands of a drive whose times are measured stand apart.
    """

    paged: tuple[int, ...]
    typed: tuple[int, ...]
    measured: tuple[int, ...]


def counted_by_drives(system: System, taken: dict[str, float]) -> Counted:
    """Return which of the constraints count pages and commands."""
    paged = {f"{drive}:{way}" for drive in system.ssds() for way in ("read", "write", "both")}
    commands = {k: name for k, name in enumerate(taken) if name.endswith("-commands")}
    measured = tuple(k for k, name in commands.items() if name.split(":")[0] in system.measured)
    return Counted(
        tuple(k for k, name in enumerate(taken) if name in paged),
        tuple(k for k in commands if k not in measured),
        measured,
    )


def links_taken(
    rules: Rules, legs: tuple[tuple[Edge, bool], ...], gpus: list[str]
) -> dict[str, float]:
    """Return the constraints of the links; one byte takes one of each."""
    taken: dict[str, float] = {}
    for edge, down in legs:
        way = f"{edge.name}:{'down' if down else 'up'}"
        taken |= {way: 1.0, f"{edge.name}:both": 1.0}
        taken |= {f"{way}:{gpu}": 1.0 for gpu in gpus if f"{way}:{gpu}" in rules.index}
    return taken


def media_taken(system: System, nodes: list[str], gpudirect: bool) -> dict[str, float]:
    """Return what one byte takes of the ends, and of the host DRAM that it is staged in."""
    taken = _end(system, nodes[0], "read") | _end(system, nodes[-1], "write")
    if not gpudirect and _staged(system, nodes[0], nodes[-1]):
        taken |= {f"{n}:dram": 2.0 for n in nodes[1:-1] if n in system.hosts()}
    return taken


def _end(system: System, node: str, way: str) -> dict[str, float]:
    """Return what one byte takes of a node; of a drive's commands none, until pieces are known."""
    device = system.nodes[node]
    if isinstance(device, Gpu):
        return {f"{node}:hbm": 1.0}
    if isinstance(device, Host):
        return {f"{node}:dram": 1.0}
    more = {f"{node}:{way}-commands": 0.0} if isinstance(device, Ssd) else {}
    if is_mixed(system, node):
        more[f"{node}:both"] = 1.0
    return {f"{node}:{way}": 1.0} | more


def _staged(system: System, source: str, destination: str) -> bool:
    """Say whether the host's DRAM stands between: it does unless one end is memory of its own."""
    ends = (system.nodes[source], system.nodes[destination])
    return all(isinstance(device, Gpu | Ssd) for device in ends)
