"""A system with its drives' and links' figures replaced by the best that was measured.

The times of copies are the `Way`'s; these figures are what copies share, and what is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tierlab.hwmodels.device import Gpu, Ssd
from tierlab.hwmodels.link import FIELDS as LINK_FIELDS
from tierlab.hwmodels.link import Link
from tierlab.hwmodels.quantity import Fields, Quantity
from tierlab.hwmodels.system import Edge, System
from tierlab.hwmodels.transfers.measured import Measured
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.units import si

_DRIVE = {
    "read": ("read_bytes_per_s", "read_latency_s", "random_read_per_s"),
    "write": ("write_bytes_per_s", "write_latency_s", "random_write_per_s"),
}
_LINK = {"in": "down_bytes_per_s", "out": "up_bytes_per_s"}
_OVER_RAW = 1.02
"""A copy that is so much faster than the link's raw figure was not made over that link."""


def way_to_host(system: System, node: str) -> tuple[Edge, ...]:
    """Return the links from a node to the nearest host; none where no host is connected."""
    paths = [system.path(node, h) for h in system.hosts() if system.connects(node, h)]
    return min(paths, key=len, default=())


def replaced(system: System, measured: Mapping[str, Measured]) -> System:
    """Return the system with these measurements and what follows from them.

    Raises
    ------
    BadInput
        Copies are faster than their link can be.
    """
    nodes, links = dict(system.nodes), {edge.name: edge.link for edge in system.edges}
    for node, found in measured.items():
        device, way = nodes[node], way_to_host(system, node)
        if isinstance(device, Ssd):
            nodes[node] = _drive(device, found)
            most = max(w.bytes_per_s for w in found.ways.values())
            links |= {edge.name: _wide(links[edge.name], most) for edge in way}
        elif isinstance(device, Gpu) and way:
            links[way[0].name] = _own_link(way[0], found)
            most = max(w.bytes_per_s for w in found.ways.values())
            links |= {edge.name: _wide(links[edge.name], most) for edge in way[1:]}
    edges = tuple(replace(edge, link=links[edge.name]) for edge in system.edges)
    return replace(system, nodes=nodes, edges=edges, measured=measured, _routes={})


def _drive(device: Ssd, found: Measured) -> Ssd:
    values: dict[str, Any] = {}
    for (what, _), way in found.ways.items():
        best = (way.bytes_per_s, way.latency_s, way.pieces_per_s)
        values |= {k: v for k, v in zip(_DRIVE[what], best, strict=True) if v > 0}
    sources = _sources(device.sources, device.fields, values, found)
    return replace(device, sources=sources, **values)


def _wide(link: Link, bytes_per_s: float) -> Link:
    """Return a link that does not hold back what was measured behind it."""
    down, up = (max(w, bytes_per_s) for w in (link.down_bytes_per_s, link.up_bytes_per_s))
    if (down, up) == (link.down_bytes_per_s, link.up_bytes_per_s):
        return link
    both = max(link.both_bytes_per_s, link.full_duplex_fraction * (down + up))
    return replace(link, down_bytes_per_s=down, up_bytes_per_s=up, both_bytes_per_s=both)


def _own_link(edge: Edge, found: Measured) -> Link:
    """Return the link of a measured GPU, with what its copies reached."""
    link, values = edge.link, dict[str, Any]()
    for what, key in _LINK.items():
        ways = [way.bytes_per_s for (w, _), way in found.ways.items() if w == what]
        if ways:
            values[key] = max(*ways, found.file.links.get(what, 0.0))
    _check_raw(edge, max(way.best[0][0] for way in found.ways.values()), found)
    down, up = (values.get(k, getattr(link, k)) for k in _LINK.values())
    both = found.file.links.get("both") or link.full_duplex_fraction * (down + up)
    values["both_bytes_per_s"] = max(both, down, up)
    values["latency_s"] = min(way.latency_s for way in found.ways.values()) or link.latency_s
    sources = _sources(link.sources, LINK_FIELDS, values, found)
    name = f"{link.name} of {edge.b}"
    return replace(link, name=name, gpu_dma_bytes_per_s=None, sources=sources, **values)


def _check_raw(edge: Edge, bytes_per_s: float, found: Measured) -> None:
    raw = edge.link.raw_bytes_per_s
    if bytes_per_s > _OVER_RAW * raw:
        what = f"copies at {si(bytes_per_s, 'B/s')} over {edge.name} of {si(raw, 'B/s')}"
        raise BadInput(str(found.file.path), what, "hardware with the link that was measured")


def _sources(
    typed: Mapping[str, Quantity], fields: Fields, values: Mapping[str, float], found: Measured
) -> dict[str, Quantity]:
    """Return provenance in which what was measured stands in the place of what was typed in."""
    keys = {field.attribute: (key, field.dimension) for key, field in fields.items()}
    out = dict(typed)
    for attribute, value in values.items():
        key, dimension = keys[attribute]
        unit = {"bytes_per_s": "B/s", "s": "s", "per_s": "1/s"}[dimension]
        out[key] = Quantity((value,), float(f"{value:.6g}"), unit, found.file.source)
    return out
