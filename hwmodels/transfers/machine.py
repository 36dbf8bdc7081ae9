"""A system whose drives and links to GPUs do what was measured instead of what is typed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.system import System
from tierlab.hwmodels.transfers.file import ACCEPTED, TransferFile, read_transfers
from tierlab.hwmodels.transfers.measured import Measured
from tierlab.hwmodels.transfers.replaced import replaced, way_to_host
from tierlab.hwmodels.transfers.way import Way, copy_way, drive_way
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold, near

DRIVE_WAYS = ("read", "write")


@dataclass(frozen=True)
class Asked:
    """Which file is for what, how deep drives are kept busy, and which end of the bands counts.

    Attributes
    ----------
    files
        Node, group or kind of a system -> a file; under "" those for all that they measured.
    depths
        Node -> most pieces in flight.
    """

    files: Mapping[str, tuple[str, ...]]
    depths: Mapping[str, int]
    band: str
    where: str


def with_transfers(system: System, asked: Asked) -> System:
    """Return the system with measured times in their places.

    Raises
    ------
    BadInput
        A file is bad or of another GPU; a name is of nothing that is measured; two files are for
        one node, or a file for none.
    """
    files = {
        path: read_transfers(Path(path).expanduser(), asked.where)
        for paths in asked.files.values()
        for path in paths
    }
    chosen: dict[str, TransferFile] = {}
    for name, paths in sorted(asked.files.items(), key=lambda item: _width(system, item[0])):
        own: dict[str, TransferFile] = {}
        for path in paths:
            for node in _nodes(system, name, files[path], asked.where):
                if node in own:
                    what = f"{own[node].path} and {path} both hold times of {node}"
                    raise BadInput(asked.where, what, "one file for each node")
                own[node] = files[path]
        chosen |= own
    measured = {node: _measure(system, node, file, asked) for node, file in chosen.items()}
    return replaced(system, measured)


def _width(system: System, name: str) -> int:
    """Order names so that the narrower comes later: all, a kind, a group, a node."""
    return 0 if not name else 3 if name in system.nodes else 2 if name in system.groups else 1


def _nodes(system: System, name: str, file: TransferFile, where: str) -> list[str]:
    """Return the nodes that a file is for."""
    kinds = {"ssd": list(system.ssds()), "gpu": list(system.gpus())}
    if not name:
        nodes = kinds["ssd"] * bool(file.drive) + kinds["gpu"] * bool(file.copies)
        if not nodes:
            has = "drives" if file.drive else "copies between host and GPU"
            what = f"{file.path} is of {has}, and {system.name} has none"
            raise BadInput(where, what, "hardware that has some (`tierlab list hardware`)")
        return nodes
    nodes = [name] if name in system.nodes else list(system.groups.get(name, kinds.get(name, ())))
    known = [n for group in (kinds["ssd"], kinds["gpu"]) for n in group]
    if not nodes or not set(nodes) <= set(known):
        what = f"{name!r} is no drive and no GPU of {system.name}"
        raise BadInput(where, what, near(name, {*known, *(k for k, v in kinds.items() if v)}))
    rows = file.copies if isinstance(system.nodes[nodes[0]], Gpu) else file.drive
    if not rows:
        what = f"holds no transfers of {name}"
        raise BadInput(str(file.path), what, ACCEPTED)
    return nodes


def _measure(system: System, node: str, file: TransferFile, asked: Asked) -> Measured:
    device = system.nodes[node]
    if isinstance(device, Gpu):
        if _short(file.device) != _short(device.name):
            what = f"copies of {file.device!r}, not of {device.name!r}"
            raise BadInput(str(file.path), what, f"measured with --hardware {device.name}")
        across_s = sum(edge.link.latency_s for edge in way_to_host(system, node))
        return Measured(file, gpu_ways(file, across_s, asked.band))
    mixed = [row.size_bytes * row.pieces / row.seconds for row in file.drive.get("mixed", ())]
    ways = drive_ways(file, asked.depths.get(node), asked.band)
    return Measured(file, ways, max(mixed, default=0.0))


def drive_ways(file: TransferFile, depth: float | None, band: str) -> dict[tuple[str, str], Way]:
    """Return a drive's ways, (``read`` or ``write``, "") -> way; `depth` as in `drive_way`."""
    return {
        (what, ""): drive_way(what, file.io, file.drive[what], depth, band)
        for what in DRIVE_WAYS
        if what in file.drive
    }


def gpu_ways(file: TransferFile, latency_s: float | None, band: str) -> dict[tuple[str, str], Way]:
    """Return a GPU's ways, (``in`` or ``out``, mechanism) -> way; `latency_s` as in `copy_way`."""
    return {
        (way, how): copy_way(way, how, rows, latency_s, band)
        for (way, how), rows in file.copies.items()
    }


def _short(device: str) -> str:
    return fold(device).removeprefix("nvidia-")
