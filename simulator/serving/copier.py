"""Copies that the tiers of one replica ask for, on the network, and what they carried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import simpy

from tierlab.hwmodels.device import Ssd
from tierlab.simulator.network.network import Network
from tierlab.simulator.network.transfer import Transfer
from tierlab.simulator.serving.places import Places
from tierlab.simulator.tiers.hierarchy import Hierarchy
from tierlab.simulator.tiers.moves import CAUSES, Leg, Move
from tierlab.simulator.tiers.spec import HBM

_CAUSES = dict(zip(CAUSES, ("write_through",) * 2 + ("write_back",) * 2 + CAUSES[4:], strict=True))
"""Cause of a tier's `Move` -> cause of a transfer."""


@dataclass(eq=False)
class Flow:
    """Bytes of one tier of one replica; the peak of a shared tier is the tier's."""

    read_bytes: float = 0.0
    written_bytes: float = 0.0
    peak_bytes: float = 0.0


class _Way(NamedTuple):
    """One copy of a move: its ends, among how many its pieces are divided, its stream."""

    source: str
    destination: str
    sharers: int
    stream: str | None


class Group:
    """Calls `then` once so many parts have ended; at once if there are none."""

    def __init__(self, parts: int, then: Callable[[], None]) -> None:
        self._left, self._then = parts, then
        if not parts:
            then()

    def one_less(self, _: object = None) -> None:
        """Take note that a part has ended."""
        self._left -= 1
        if not self._left:
            self._then()


class Layerwise:
    """A load in parts, one a layer; each comes once all ranks and tiers have sent it.

    Attributes
    ----------
    come
        Events, one a part.
    """

    def __init__(
        self, env: simpy.Environment, parts: int, copies: int, then: Callable[[], None]
    ) -> None:
        self.come = [simpy.Event(env) for _ in range(parts)]
        self._left = [copies] * parts
        self._all = Group(parts, then)

    def one_less(self, layer: int) -> None:
        """Take note that one copy of a part has ended."""
        self._left[layer] -= 1
        if not self._left[layer]:
            self.come[layer].succeed()
            self._all.one_less()


class Copier:
    """Gives moves and loads of one replica their time.

    Attributes
    ----------
    flows
        What each tier sent and took, and the most that it held.

    Parameters
    ----------
    moved
        Called when a copy between tiers has ended.
    """

    def __init__(
        self,
        env: simpy.Environment,
        tiers: Hierarchy,
        network: Network,
        places: Places,
        moved: Callable[[], None],
    ) -> None:
        self._env, self._tiers, self._network, self._places = env, tiers, network, places
        self.flows = {name: Flow() for name in (HBM, *(t.spec.name for t in tiers.tiers))}
        self._known: dict[tuple[str, str], list[_Way]] = {}
        self._transfers: dict[Move, list[Transfer]] = {}
        self._in_flight = 0
        self._moved = moved

    def copy(self, moves: list[Move], then: Callable[[], None] | None = None) -> None:
        """Make copies, and those that follow from them; call `then` once `moves` have ended."""
        if not moves:
            if then is not None:
                then()
            return
        group = Group(len(moves), then or _nothing)
        for move in moves:
            self._send(move, group)
            tier, flow = self._tiers.tiers[move.target], self.flows[move.destination]
            flow.peak_bytes = max(flow.peak_bytes, len(tier.store) * tier.spec.block_bytes)

    def _send(self, move: Move, group: Group) -> None:
        self.flows[move.source].read_bytes += move.nbytes
        self.flows[move.destination].written_bytes += move.nbytes
        ways = self._ways(move.source, move.destination)
        number, cause = len(ways), _CAUSES[move.cause]
        ended = partial(self._sent, move, group)
        then = ended if number == 1 else Group(number, ended).one_less
        self._in_flight += number * (move.source == HBM)
        self._transfers[move] = [
            self._network.submit(
                way.source,
                way.destination,
                move.nbytes / number,
                pieces=max(move.pieces / way.sharers, 1),
                mechanism=move.mechanism,
                cause=cause,
                stream=way.stream,
                then=then,
            )
            for way in ways
        ]

    def _sharers(self, node: str, nodes: int) -> int:
        """Return how many of a tier's nodes divide the pieces: drives do, memory is read as one.

        One processor issues the copies, so that interleaved memory saves no issue cost.
        """
        return nodes if isinstance(self._network.system.nodes[node], Ssd) else 1

    def _ways(self, source: str, destination: str) -> list[_Way]:
        """Return the copies that make a move; they are the same for every such move."""
        ways = self._known.get((source, destination))
        if ways is None:
            ends, nodes = self._ends(source, destination)
            ways = [
                _Way(one, other, self._sharers(other, nodes), _stream(one, other, nodes > 1))
                for one, other in ends
            ]
            self._known[source, destination] = ways
        return ways

    def _ends(self, source: str, destination: str) -> tuple[list[tuple[str, str]], int]:
        """Return the ends of each copy that makes a move, and how many of a rank's there are.

        Every rank sends its part of each piece to every node that the tier is interleaved over.
        """
        nodes = self._places.nodes[destination]
        if source == HBM:
            return [(gpu, node) for gpu in self._places.gpus for node in nodes], len(nodes)
        above = self._places.nodes[source]
        number = max(len(above), len(nodes))
        pairs = [(above[i % len(above)], nodes[i % len(nodes)]) for i in range(number)]
        return pairs, number

    def _sent(self, move: Move, group: Group, _: Transfer | None = None) -> None:
        sent = self._transfers.pop(move, ())
        self._in_flight -= len(sent) * (move.source == HBM)
        if not move.over:
            self.copy(self._tiers.end_move(move, self._env.now))
        self._moved()
        group.one_less()

    def cancel(self, move: Move) -> None:
        """Stop a copy that nobody wants any more."""
        for transfer in self._transfers.get(move, ()):
            self._network.cancel(transfer)

    def bring(self, leg: Leg, layers: Layerwise) -> None:
        """Load one tier's part, each rank its share, layer after layer."""
        self.flows[leg.tier].read_bytes += leg.nbytes
        self.flows[HBM].written_bytes += leg.nbytes
        parts, gpus, nodes = len(layers.come), self._places.gpus, self._places.nodes[leg.tier]
        ways = [(node, gpu) for gpu in gpus for node in nodes]
        self._in_flight += parts * len(ways)
        for node, gpu in ways:
            for layer in range(parts):
                self._network.submit(
                    node,
                    gpu,
                    leg.nbytes / len(ways) / parts,
                    pieces=max(leg.pieces / parts / self._sharers(node, len(nodes)), 1),
                    mechanism=leg.mechanism,
                    cause="hit",
                    stream=_stream(node, gpu, len(nodes) > 1),
                    then=partial(self._brought, layers, layer),
                )

    def _brought(self, layers: Layerwise, layer: int, _: Transfer) -> None:
        self._in_flight -= 1
        layers.one_less(layer)

    def stretch(self) -> float:
        """Return how much longer compute lasts beside the copies of this moment.

        Kernels take SMs, all copies take HBM bandwidth. Steps are taken to be bound by both, which
        is an upper bound.
        """
        if not self._in_flight:
            return 1.0
        gpu = self._places.gpus[0]
        free = 1.0 - self._network.sm_share(gpu)
        hbm = self._network.hbm_bytes_per_s(gpu) / self._places.hbm_bytes_per_s
        return 1.0 / (free * (1.0 - min(hbm, 0.99)))


def _stream(source: str, destination: str, interleaved: bool) -> str | None:
    """Return a stream of their own for copies to or from one of several nodes, else the default.

    Parts of one interleaved copy move at the same time.
    """
    return f"{source}>{destination}" if interleaved else None


def _nothing() -> None:
    """Stand where nobody waits."""
