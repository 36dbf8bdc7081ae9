"""The catalogue: devices, links and systems by name, and users' own files by path."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from tierlab.hwmodels.consistency import check_device, check_link, check_system
from tierlab.hwmodels.device import KINDS, Device, Gpu, build_device
from tierlab.hwmodels.link import Link, build_link
from tierlab.hwmodels.system import System
from tierlab.hwmodels.tomlfile import (
    HERE,
    Table,
    aliases_of,
    beside,
    kind_of,
    read_toml,
    refuse_unknown,
    table_of,
    text_of,
)
from tierlab.hwmodels.topology import Group, Wire, assemble
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, fold, near

_SHELVES = ("systems", "devices", "links")
_MANY = re.compile(r"(\d+)\s*x\s*(?=[^\s\d])(.+)", re.IGNORECASE)


def load_device(name: str, where: str) -> Device:
    """Load a device by catalogue name, alias, or path to one's own file.

    Raises
    ------
    BadInput
        There is none, its file is bad, or a consistency rule refuses it.
    """
    path, table = _open(name, "devices", where)
    device = build_device(table, str(path), path.parent)
    check_device(device)
    return device


def load_link(name: str, where: str) -> Link:
    """Load a link by catalogue name, alias, or path to one's own file.

    Raises
    ------
    BadInput
        There is none, its file is bad, or a consistency rule refuses it.
    """
    path, table = _open(name, "links", where)
    link = build_link(table, str(path))
    check_link(link)
    return link


def load_system(name: str, where: str = "--hardware") -> System:
    """Load what ``--hardware`` names.

    Parameters
    ----------
    name
        A system; a GPU (with its default host); ``8xH200`` (with its peer link); or a path to
        one's own file of either kind.
    where
        What the name was given to, for errors.

    Raises
    ------
    BadInput
        There is none, a file is bad, or a consistency rule refuses it.
    """
    many = _MANY.fullmatch(name.strip())
    if as_path(many[2] if many else name, (".toml",)) is None:
        return _catalogued(name, where)
    return _loaded(name, where)


@lru_cache(maxsize=32)
def _catalogued(name: str, where: str) -> System:
    """Return what the points of a sweep ask for again; one's own file may change between them."""
    return _loaded(name, where)


def _loaded(name: str, where: str) -> System:
    many = _MANY.fullmatch(name.strip())
    count, rest = (int(many[1]), many[2].strip()) if many else (1, name)
    if many and not 1 <= count <= 1024:
        raise BadInput(where, f"{name!r} asks for {count} GPUs", "1 to 1024")
    path, table = _open(rest, "systems or GPUs", where)
    if kind_of(table, ("system", *KINDS), str(path)) == "system" and not many:
        system = _system(table, path)
    else:
        system = _implied(build_device(table, str(path), path.parent), count, where)
    return system.with_warnings(check_system(system))


def hardware_names() -> dict[str, tuple[str, str]]:
    """Return every name of the catalogue: (kind, summary), systems and GPUs first."""
    order = ("system", *KINDS, "link")
    found = {str(t["name"]): (str(t["kind"]), str(t["summary"])) for _, t in _catalogue()}
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1][0]), item[0])))


def _implied(gpu: Device, count: int, where: str) -> System:
    if not isinstance(gpu, Gpu):
        raise BadInput(where, f"{gpu.name} is a {gpu.kind}, not a GPU", "a system or a GPU")
    check_device(gpu)
    source = f"{gpu.where}: "
    groups: dict[str, Group] = {
        "gpu": (gpu, count),
        "host": (load_device(gpu.default_host, source + "default_host"), 1),
    }
    wires: list[Wire] = [(load_link(gpu.host_link, source + "host_link"), "host", "gpu")]
    peer = load_link(gpu.peer_link, source + "peer_link") if gpu.peer_link else None
    if peer and peer.fabric == "nvlink" and count > 1:
        groups["nvswitch"] = (load_device("nvswitch", source + "peer_link"), 1)
        wires.append((peer, "nvswitch", "gpu"))
    name = gpu.name if count == 1 else f"{count}x{gpu.name}"
    summary = f"{count} x {gpu.name} on {groups['host'][0].name}"
    return assemble(name, summary, gpu.where, groups, wires)


def _system(table: Table, path: Path) -> System:
    where = str(path)
    refuse_unknown(table, ("kind", "name", "aliases", "summary", "nodes", "links"), where)
    aliases_of(table, where)
    nodes = table_of(table, "nodes", where)
    if not nodes:
        raise BadInput(where, "required table 'nodes' is missing", "[nodes] with gpu, host, ...")
    groups = {group: _group(group, nodes, path) for group in nodes}
    wires = table.get("links", [])
    if not isinstance(wires, list) or not all(isinstance(wire, dict) for wire in wires):
        raise BadInput(f"{where}: links", "is no array of tables", "[[links]] with link, between")
    name, summary = text_of(table, "name", where), text_of(table, "summary", where)
    return assemble(name, summary, where, groups, [_wire(wire, path) for wire in wires])


def _group(group: str, nodes: Table, path: Path) -> Group:
    where = f"{path}: nodes.{group}"
    node = dict(table_of(nodes, group, f"{path}: nodes"))
    device = beside(text_of(node, "device", where), path.parent)
    count = node.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1024:
        raise BadInput(f"{where}: count", f"{count!r} is no count", "a whole number, 1 to 1024")
    changes = {k: v for k, v in node.items() if k not in ("device", "count")}
    if not changes:
        return load_device(device, where), count
    return _variant(device, changes, where), count


def _variant(name: str, changes: Table, where: str) -> Device:
    path, table = _open(name, "devices", where)
    changed = build_device({**table, **changes}, where, path.parent)
    check_device(changed)
    return replace(changed, where=where)


def _wire(wire: Table, path: Path) -> Wire:
    where = f"{path}: links"
    refuse_unknown(wire, ("link", "between"), where)
    link = load_link(beside(text_of(wire, "link", where), path.parent), where)
    ends = wire.get("between")
    if not isinstance(ends, list) or len(ends) != 2 or not all(isinstance(e, str) for e in ends):
        raise BadInput(where, f"between = {ends!r} is no pair of nodes", '["host", "gpu"]')
    return link, ends[0], ends[1]


def _open(name: str, shelf: str, where: str) -> tuple[Path, Table]:
    path = as_path(name, (".toml",))
    if path is None:
        path = _find(name, shelf, where)
        where = str(path)
    return path, read_toml(path, where)


def _find(name: str, shelf: str, where: str) -> Path:
    shelves = ("systems", "devices") if shelf.startswith("systems") else (shelf,)
    for folder in shelves:
        if fold(name) in _shelf(folder):
            return _shelf(folder)[fold(name)]
    known = {alias: path for alias, path in _aliases() if path.parent.name in shelves}
    for alias, path in known.items():
        if fold(alias) == fold(name):
            return path
    what = {"devices": "device", "links": "link"}.get(shelf, "hardware")
    raise BadInput(where, f"unknown {what} {name!r}", f"{near(name, known)} (or a path to a .toml)")


@lru_cache(maxsize=len(_SHELVES))
def _shelf(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in (HERE / folder).glob("*.toml")}


@lru_cache(maxsize=1)
def _catalogue() -> tuple[tuple[Path, Table], ...]:
    paths = [path for shelf in _SHELVES for path in sorted((HERE / shelf).glob("*.toml"))]
    return tuple((path, read_toml(path, str(path))) for path in paths)


def _aliases() -> Iterator[tuple[str, Path]]:
    for path, table in _catalogue():
        for name in (str(table["name"]), *aliases_of(table, str(path))):
            yield name, path


def kind_called(name: str, where: str) -> str:
    """Return the kind of what `name` (a name, alias, path or ``8xGPU``) stands for.

    Raises
    ------
    BadInput
        Nothing in the catalogue is called so, or the file is bad.
    """
    if _MANY.fullmatch(name.strip()):
        return "system"
    path = as_path(name, (".toml",))
    if path is not None:
        table = read_toml(path, where)
        return kind_of(table, ("system", *KINDS, "link"), str(path))
    for alias, file in _aliases():
        if fold(alias) == fold(name):
            return kind_of(read_toml(file, where), ("system", *KINDS, "link"), str(file))
    raise BadInput(where, f"unknown hardware {name!r}", near(name, [a for a, _ in _aliases()]))
