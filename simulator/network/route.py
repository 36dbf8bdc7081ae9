"""Routes: the way of a copy through a system, what it costs alone and what it takes a share of.

``time = sum of latencies + max(issue, bytes / narrowest bandwidth)``, the issue being that of the
link where it costs most. A way over several links is cut through: its links, and the host DRAM
that it is staged in, carry the bytes at one rate at the same time, so the narrowest decides.
Where a drive, or a GPU's way to its host, was measured, its latency and its time for such pieces
stand in the place of what its links and data sheet say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tierlab.hwmodels.device import Cxl, Gpu, Ssd, Store, Switch
from tierlab.hwmodels.system import Edge, System
from tierlab.hwmodels.time.times import MECHANISMS
from tierlab.hwmodels.time.transfer import CopyCosts, copy_costs
from tierlab.hwmodels.transfers.crossed import crossed
from tierlab.hwmodels.transfers.way import Way
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.simulator.network.rules import Rules
from tierlab.simulator.network.shares import counted_by_drives, links_taken, media_taken

_MOST_COSTS = 4096
"""Of one route that are remembered."""
PAGE_BYTES = 4096
"""A drive reads and writes whole pages; its commands a second are stated for 4 KiB."""


class Cost(NamedTuple):
    """What one copy costs, and what it takes a share of.

    Attributes
    ----------
    alone_s, issue_s
        Its duration alone on its way, and the time to issue its pieces, or what was measured for
        pieces of its size after the latency.
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
    measured, typed_legs
        What was measured of the ends, in the place of the legs there; how many legs are left.
    bytes_per_s
        The narrowest of links and media, alone on all of them.
    at, weights
        Constraints, and what one byte takes of each.
    paged, commanded, counted
        Positions in `at` where a byte takes as many bytes of pages, or pieces, as it comes with;
        the last are commands of a measured drive, of which a copy alone takes all at most: what
        is left after its latency may be faster than the drive is for long.
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
    measured: tuple[Way, ...]
    typed_legs: int
    bytes_per_s: float
    at: tuple[int, ...]
    weights: tuple[float, ...]
    capacities: tuple[float, ...]
    paged: tuple[int, ...]
    commanded: tuple[int, ...]
    counted: tuple[int, ...]
    stream: str
    kernel_gpu: str
    _costs: dict[tuple[float, float], Cost] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The links' names, in order."""
        return " > ".join(edge.name for edge, _ in self.legs)

    @property
    def known(self) -> str:
        """Whether its links and drives are ``measured``, ``partly`` so, or ``datasheet``."""
        if not self.measured:
            return "datasheet"
        return "partly" if self.typed_legs else "measured"

    def cost(self, nbytes: float, pieces: float) -> Cost:
        """Return what a copy of some pieces costs and takes a share of; sizes recur."""
        cost = self._costs.get((nbytes, pieces))
        if cost is None:
            if len(self._costs) >= _MOST_COSTS:
                self._costs.clear()
            cost = self._costs[nbytes, pieces] = self._cost(nbytes, pieces)
        return cost

    def _cost(self, nbytes: float, pieces: float) -> Cost:
        issue_s = 0.0
        for once_s, piece_s in self.issue:
            issue_s = max(issue_s, once_s + piece_s * pieces)
        for way in self.measured:
            issue_s = max(issue_s, way.flow_s(nbytes, pieces))
        weights, rate = self.weights, self.bytes_per_s
        if self.paged and nbytes > 0:
            weights, rate = self._of_pages(nbytes, pieces)
        alone_s = self.latency_s + max(issue_s, nbytes / rate)
        bound = min(rate, nbytes / issue_s) if issue_s > 0 else rate
        if self.counted and nbytes > 0:
            most = ((k, self.capacities[k] / bound) for k in self.counted)
            shares = {k: min(pieces / nbytes, share) for k, share in most}
            weights = tuple(shares.get(k, weight) for k, weight in enumerate(weights))
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
        is to copy where no GPU is; or an end was measured, but not this way.
    """
    _check(system, source, destination, mechanism)
    nodes, legs = _walk(system, source, destination)
    kernel_gpu = _kernel_gpu(system, source, destination) if mechanism == "kernel" else ""
    gpus = [end for end in (source, destination) if end in system.gpus()]
    measured, known = crossed(system, nodes, mechanism)
    typed = tuple(leg for k, leg in enumerate(legs) if k not in known)
    every = [_leg_costs(system, edge, bool(gpus), mechanism) for edge, _ in typed]
    taken = links_taken(rules, legs, gpus) | media_taken(system, nodes, gpudirect)
    at = tuple(rules.index[name] for name in taken)
    capacities = tuple(rules.capacity[r] for r in at)
    shares = [c / w for c, w in zip(capacities, taken.values(), strict=True) if w > 0]
    return Route(
        source,
        destination,
        mechanism,
        legs,
        sum(edge.link.latency_s for edge, _ in typed)
        + _media_latency_s(system, nodes)
        + sum(way.latency_s for way in measured),
        tuple(dict.fromkeys((cost.once_s, cost.piece_s) for cost in every)),
        measured,
        len(typed),
        min(*_widths(every, typed), *shares),
        at,
        tuple(taken.values()),
        capacities,
        *counted_by_drives(system, taken),
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


def _media_latency_s(system: System, nodes: list[str]) -> float:
    first, last = (None if n in system.measured else system.nodes[n] for n in (nodes[0], nodes[-1]))
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
