"""Routes: the way of a copy through a system, what it costs alone and what it takes a share of.

``time = sum of latencies + max(issue, bytes / narrowest bandwidth)``, the issue being that of the
link where it costs most. A way over several links is cut through: its links, and the host DRAM
that it is staged in, carry the bytes at one rate at the same time, so the narrowest decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tierlab.hwmodels.device import Cxl, Gpu, Host, Ssd, Store, Switch
from tierlab.hwmodels.system import Edge, System
from tierlab.hwmodels.time.times import MECHANISMS
from tierlab.hwmodels.time.transfer import CopyCosts, copy_costs
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.simulator.network.rules import Rules

_MOST_COSTS = 4096
"""Of one route that are remembered."""
PAGE_BYTES = 4096
"""A drive reads and writes whole pages; its commands a second are stated for 4 KiB."""


class Cost(NamedTuple):
    """What one copy costs, and what it takes a share of.

    Attributes
    ----------
    alone_s, issue_s
        Its duration alone on its way, and the time to issue its pieces.
    bytes_per_s
        The narrowest of links and media, for pieces of its size.
    bound_bytes_per_s
        The rate that it flows at alone: that, or as fast as its pieces are issued.
    weights
        What one byte takes of each constraint of `Route.at`.
    """

    alone_s: float
    issue_s: float
    bytes_per_s: float
    bound_bytes_per_s: float
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Route:
    """The way from one node to another by one mechanism.

    Attributes
    ----------
    legs
        Edges in order, each with whether it is taken outward (``down``).
    latency_s
        Of the links, and of a drive or CXL module at an end.
    issue
        Distinct (once_s, piece_s) of the legs.
    bytes_per_s
        The narrowest of links and media, alone on all of them.
    at, weights
        Constraints, and what one byte takes of each.
    paged, commanded
        Positions in `at` where a byte takes as many bytes of pages, or pieces, as it comes with.
    stream
        Where such copies queue unless told otherwise.
    kernel_gpu
        The GPU whose SMs do the copy; empty if a DMA engine does.
    """

    source: str
    destination: str
    mechanism: str
    legs: tuple[tuple[Edge, bool], ...]
    latency_s: float
    issue: tuple[tuple[float, float], ...]
    bytes_per_s: float
    at: tuple[int, ...]
    weights: tuple[float, ...]
    capacities: tuple[float, ...]
    paged: tuple[int, ...]
    commanded: tuple[int, ...]
    stream: str
    kernel_gpu: str
    _costs: dict[tuple[float, float], Cost] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The links' names, in order."""
        return " > ".join(edge.name for edge, _ in self.legs)

    def cost(self, nbytes: float, pieces: float) -> Cost:
        """Return what a copy of some pieces costs and takes a share of; sizes recur."""
        cost = self._costs.get((nbytes, pieces))
        if cost is None:
            if len(self._costs) >= _MOST_COSTS:
                self._costs.clear()
            cost = self._costs[nbytes, pieces] = self._cost(nbytes, pieces)
        return cost

    def _cost(self, nbytes: float, pieces: float) -> Cost:
        once_s, piece_s = self.issue[0]
        issue_s = once_s + piece_s * pieces
        for once_s, piece_s in self.issue[1:]:
            issue_s = max(issue_s, once_s + piece_s * pieces)
        weights, rate = self.weights, self.bytes_per_s
        if self.paged and nbytes > 0:
            weights, rate = self._of_pages(nbytes, pieces)
        alone_s = self.latency_s + max(issue_s, nbytes / rate)
        bound = min(rate, nbytes / issue_s) if issue_s > 0 else rate
        return Cost(alone_s, issue_s, rate, bound, weights)

    def _of_pages(self, nbytes: float, pieces: float) -> tuple[tuple[float, ...], float]:
        """Return the weights, and the rate alone, of pieces that a drive holds in whole pages."""
        weights = list(self.weights)
        pages = pieces * math.ceil(nbytes / pieces / PAGE_BYTES)
        for k in self.paged:
            weights[k] = max(pages * PAGE_BYTES / nbytes, 1.0)
        for k in self.commanded:
            weights[k] = pieces / nbytes
        limits = (self.capacities[k] / weights[k] for k in self.paged + self.commanded)
        return tuple(weights), min(self.bytes_per_s, *limits)


def find_route(
    system: System, rules: Rules, source: str, destination: str, mechanism: str, gpudirect: bool
) -> Route:
    """Return the route of copies from one node to another.

    Raises
    ------
    BadInput
        A node or mechanism does not exist or stores nothing, nothing connects them, or a kernel
        is to copy where no GPU is.
    """
    _check(system, source, destination, mechanism)
    nodes, legs = _walk(system, source, destination)
    kernel_gpu = _kernel_gpu(system, source, destination) if mechanism == "kernel" else ""
    gpus = [end for end in (source, destination) if end in system.gpus()]
    every = [_leg_costs(system, edge, bool(gpus), mechanism) for edge, _ in legs]
    taken = _links(rules, legs, gpus) | _media(system, nodes, gpudirect)
    at = tuple(rules.index[name] for name in taken)
    capacities = tuple(rules.capacity[r] for r in at)
    shares = [c / w for c, w in zip(capacities, taken.values(), strict=True) if w > 0]
    return Route(
        source,
        destination,
        mechanism,
        legs,
        sum(edge.link.latency_s for edge, _ in legs) + _media_latency_s(system, nodes),
        tuple(dict.fromkeys((cost.once_s, cost.piece_s) for cost in every)),
        min(*_widths(every, legs), *shares),
        at,
        tuple(taken.values()),
        capacities,
        *_of_drives(system, taken),
        _stream(system, source, destination) + (":kernel" if kernel_gpu else ""),
        kernel_gpu,
    )


def _check(system: System, source: str, destination: str, mechanism: str) -> None:
    if mechanism not in MECHANISMS:
        raise BadInput("mechanism", f"unknown mechanism {mechanism!r}", near(mechanism, MECHANISMS))
    stores = [name for name, device in system.nodes.items() if not isinstance(device, Switch)]
    for end in (source, destination):
        if end not in stores:
            what = f"{end} stores nothing" if end in system.nodes else f"no node {end!r}"
            raise BadInput(
                system.where, f"copy {source} to {destination}: {what}", ", ".join(stores)
            )
    if source == destination:
        what = f"copy {source} to {destination}: it crosses no link"
        raise BadInput(system.where, what, "two different nodes")


def _walk(
    system: System, source: str, destination: str
) -> tuple[list[str], tuple[tuple[Edge, bool], ...]]:
    nodes, legs = [source], []
    for edge in system.path(source, destination):
        legs.append((edge, nodes[-1] == edge.a))
        nodes.append(edge.other(nodes[-1]))
    return nodes, tuple(legs)


def _kernel_gpu(system: System, source: str, destination: str) -> str:
    gpus = system.gpus()
    for end in (destination, source):
        if end in gpus:
            return end
    what = f"copy {source} to {destination} by kernel: neither is a GPU"
    raise BadInput(system.where, what, "loop or batched")


def _leg_costs(system: System, edge: Edge, of_gpu: bool, mechanism: str) -> CopyCosts:
    """Return a leg's costs: a kernel drives the links at a GPU, batches feed the others."""
    gpus = system.gpus()
    if mechanism == "kernel" and edge.a not in gpus and edge.b not in gpus:
        mechanism = "batched"
    link = edge.link if of_gpu else replace(edge.link, gpu_dma_bytes_per_s=None)
    return copy_costs(link)[MECHANISMS.index(mechanism)]


def _widths(every: list[CopyCosts], legs: tuple[tuple[Edge, bool], ...]) -> list[float]:
    """Return what a large copy reaches over each leg, in the direction taken."""
    return [
        cost.outward_bytes_per_s if outward else cost.inward_bytes_per_s
        for cost, (_, outward) in zip(every, legs, strict=True)
    ]


def _of_drives(system: System, taken: dict[str, float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return which of the constraints count pages, and which commands."""
    paged = {f"{drive}:{way}" for drive in system.ssds() for way in ("read", "write")}
    return (
        tuple(k for k, name in enumerate(taken) if name in paged),
        tuple(k for k, name in enumerate(taken) if name.endswith("-commands")),
    )


def _links(rules: Rules, legs: tuple[tuple[Edge, bool], ...], gpus: list[str]) -> dict[str, float]:
    """Return the constraints of the links; one byte takes one of each."""
    taken: dict[str, float] = {}
    for edge, down in legs:
        way = f"{edge.name}:{'down' if down else 'up'}"
        taken |= {way: 1.0, f"{edge.name}:both": 1.0}
        taken |= {f"{way}:{gpu}": 1.0 for gpu in gpus if f"{way}:{gpu}" in rules.index}
    return taken


def _media(system: System, nodes: list[str], gpudirect: bool) -> dict[str, float]:
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
    commands = {f"{node}:{way}-commands": 0.0} if isinstance(device, Ssd) else {}
    return {f"{node}:{way}": 1.0} | commands


def _staged(system: System, source: str, destination: str) -> bool:
    """Say whether the host's DRAM stands between: it does unless one end is memory of its own."""
    ends = (system.nodes[source], system.nodes[destination])
    return all(isinstance(device, Gpu | Ssd) for device in ends)


def _media_latency_s(system: System, nodes: list[str]) -> float:
    first, last = system.nodes[nodes[0]], system.nodes[nodes[-1]]
    read_s = first.read_latency_s if isinstance(first, Store) else 0.0
    return read_s + (last.write_latency_s if isinstance(last, Store) else 0.0)


def _stream(system: System, source: str, destination: str) -> str:
    """Return the queue of the device that does the copying: a drive, a GPU, or a CXL module."""
    for kind in (Ssd, Gpu, Cxl):
        ends = [n for n in (source, destination) if isinstance(system.nodes[n], kind)]
        if len(ends) == 2:
            return f"{source}:peer"
        if ends:
            return f"{ends[0]}:{'in' if ends[0] == destination else 'out'}"
    return f"{source}:peer"
