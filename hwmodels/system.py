"""A system: named instances of devices, and the links between them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tierlab.hwmodels.device import Cxl, Device, Gpu, Host, Ssd
from tierlab.hwmodels.link import Link
from tierlab.hwmodels.quantity import Quantity
from tierlab.kernels.base.errors import BadInput

if TYPE_CHECKING:
    from tierlab.hwmodels.transfers.measured import Measured


@dataclass(frozen=True)
class Edge:
    """One link between two instances.

    Attributes
    ----------
    name
        Unique in the system, e.g. ``pcie5-x16[host0-gpu3]``.
    group
        Shared by the instances of one link of the file, e.g. ``pcie5-x16``.
    a, b
        The ends; `a` is the one nearer to the host, so that a to b is ``down``.
    """

    name: str
    group: str
    a: str
    b: str
    link: Link

    def other(self, end: str) -> str:
        """Return the end that is not `end`."""
        return self.b if end == self.a else self.a


@dataclass(frozen=True, eq=False)
class System:
    """A topology.

    Attributes
    ----------
    nodes
        Instance (``gpu0``, ``host0``, ``ssd1``) -> device, in the order of the file.
    groups
        Group of the file -> its instances.
    edges
        Every link instance.
    warnings
        What the consistency rules found odd but not impossible.
    measured
        Instance -> its measured transfers: a drive's, or a GPU's and its way to the host.
    """

    name: str
    summary: str
    where: str
    nodes: Mapping[str, Device]
    groups: Mapping[str, tuple[str, ...]]
    edges: tuple[Edge, ...]
    warnings: tuple[str, ...] = ()
    measured: Mapping[str, "Measured"] = field(default_factory=dict)
    _routes: dict[str, dict[str, tuple[Edge, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def _at(self) -> dict[str, list[Edge]]:
        at: dict[str, list[Edge]] = {}
        for edge in self.edges:
            for end in (edge.a, edge.b):
                at.setdefault(end, []).append(edge)
        return at

    def gpus(self) -> dict[str, Gpu]:
        """Return the GPUs by instance."""
        return {k: d for k, d in self.nodes.items() if isinstance(d, Gpu)}

    def hosts(self) -> dict[str, Host]:
        """Return the hosts by instance."""
        return {k: d for k, d in self.nodes.items() if isinstance(d, Host)}

    def cxl(self) -> dict[str, Cxl]:
        """Return the CXL expanders by instance."""
        return {k: d for k, d in self.nodes.items() if isinstance(d, Cxl)}

    def ssds(self) -> dict[str, Ssd]:
        """Return the drives by instance."""
        return {k: d for k, d in self.nodes.items() if isinstance(d, Ssd)}

    @property
    def gpu(self) -> Gpu:
        """The one type of GPU that the system has.

        Raises
        ------
        BadInput
            It has none, or several types.
        """
        kinds = {gpu.name: gpu for gpu in self.gpus().values()}
        if len(kinds) != 1:
            has = ", ".join(kinds) or "no GPU"
            raise BadInput(self.where, f"{self.name} has {has}", "a system with one type of GPU")
        return next(iter(kinds.values()))

    @property
    def peer_link(self) -> Link | None:
        """The narrowest link on the way from the first GPU to the second; None for one GPU."""
        gpus = list(self.gpus())
        if len(gpus) < 2:
            return None
        path = self.path(gpus[0], gpus[1])
        return min((edge.link for edge in path), key=lambda link: link.raw_bytes_per_s)

    def path(self, a: str, b: str) -> tuple[Edge, ...]:
        """Return the edges from `a` to `b`: the fewest hops, then the widest narrowest link.

        Raises
        ------
        BadInput
            One of them does not exist, or nothing connects them.
        """
        for end in (a, b):
            if end not in self.nodes:
                raise BadInput(self.where, f"no node {end!r}", ", ".join(self.nodes))
        if not self.connects(a, b):
            raise BadInput(self.where, f"nothing connects {a} and {b}", "a link between them")
        return self._routes[a][b]

    def connects(self, a: str, b: str) -> bool:
        """Say whether edges lead from `a` to `b`."""
        if a not in self._routes:
            self._routes[a] = self._routes_from(a)
        return b in self._routes[a]

    def nearest(self, start: str, nodes: Iterable[str]) -> list[str]:
        """Return those of some nodes that are the fewest hops from `start`, in their order.

        Empty where nothing connects them.
        """
        hops = {node: len(self.path(start, node)) for node in nodes if self.connects(start, node)}
        return [node for node, number in hops.items() if number == min(hops.values())]

    def _routes_from(self, start: str) -> dict[str, tuple[Edge, ...]]:
        routes: dict[str, tuple[Edge, ...]] = {start: ()}
        rim = [start]
        while rim:
            found: dict[str, tuple[Edge, ...]] = {}
            for here in rim:
                for edge in self._at.get(here, ()):
                    there, route = edge.other(here), (*routes[here], edge)
                    if there not in routes and _width(route) > _width(found.get(there, ())):
                        found[there] = route
            routes |= found
            rim = list(found)
        return routes

    def sources(self) -> dict[str, Quantity]:
        """Return every quantity: ``gpu.memory``, ``link pcie5-x16.latency``, ... -> provenance."""
        found: dict[str, Quantity] = {}
        for group, instances in self.groups.items():
            for key, quantity in self.nodes[instances[0]].sources.items():
                found[f"{group}.{key}"] = quantity
        for link in {edge.link.name: edge.link for edge in self.edges}.values():
            for key, quantity in link.sources.items():
                found[f"link {link.name}.{key}"] = quantity
        return found

    def with_warnings(self, warnings: tuple[str, ...]) -> "System":
        """Return the same system with these warnings."""
        return replace(self, warnings=warnings, _routes={})


def _width(route: tuple[Edge, ...]) -> float:
    return min((edge.link.raw_bytes_per_s for edge in route), default=0.0)
