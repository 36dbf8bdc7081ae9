"""The network: copies over links that they share, submitted, estimated, cancelled, counted."""

from __future__ import annotations

import math
from collections.abc import Callable

import simpy

from tierlab.hwmodels.system import System
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.simulator.network.estimate import left_bytes_per_s, wait_s
from tierlab.simulator.network.heads import Heads
from tierlab.simulator.network.ledger import Moved, check_conserved
from tierlab.simulator.network.route import Route, find_route
from tierlab.simulator.network.transfer import CANCELLED, CAUSES, MOVING, WAITING, Transfer


class Network(Heads):
    """Copies between the nodes of a system.

    Parameters
    ----------
    env
        The clock.
    system
        The nodes, links and media that the copies share.
    gpudirect
        Whether GPUs and drives, and GPUs without a link between them, reach one another past the
        host's DRAM; otherwise such copies are staged in it.
    keep_records
        Whether `records` keeps a row for every transfer.
    """

    def __init__(
        self,
        env: simpy.Environment,
        system: System,
        *,
        gpudirect: bool = False,
        keep_records: bool = True,
    ) -> None:
        super().__init__(env, system, keep_records)
        self._gpudirect = gpudirect
        self._routes: dict[tuple[str, str, str], Route] = {}
        self._submitted = 0

    def submit(
        self,
        source: str,
        destination: str,
        nbytes: float,
        *,
        cause: str,
        pieces: float = 1,
        mechanism: str = "batched",
        priority: int = 0,
        stream: str | None = None,
        logical_bytes: float | None = None,
        then: Callable[[Transfer], None] | None = None,
    ) -> Transfer:
        """Queue a copy; it starts when its stream reaches it.

        Parameters
        ----------
        source, destination
            Nodes of the system.
        nbytes, pieces
            Bytes that cross the links, in so many separate copies.
        cause
            One of `CAUSES`.
        mechanism
            ``loop``, ``batched`` or ``kernel``.
        priority
            The lowest of those that wait in a stream goes first; a head is never interrupted.
        stream
            Name of the queue; by default that of the device and direction (`Route.stream`).
        logical_bytes
            What the bytes stand for (KV before compression, say); by default `nbytes`.
        then
            Called with the transfer when it ended or was cancelled.

        Raises
        ------
        BadInput
            A node, mechanism or cause does not exist, no way leads there, or a size is not one.
        """
        _check_size(nbytes, pieces)
        if cause not in CAUSES:
            raise BadInput("cause", f"unknown cause {cause!r}", near(cause, CAUSES))
        route = self.route(source, destination, mechanism)
        queue = self._stream(stream or route.stream)
        logical = nbytes if logical_bytes is None else logical_bytes
        transfer = Transfer(
            self, self._submitted, route, queue, nbytes, logical, pieces, cause, priority, then
        )
        self._submitted += 1
        if queue.head is not None:
            queue.push(transfer)
        else:
            self._begin(queue, transfer)
        return transfer

    def cancel(self, transfer: Transfer) -> bool:
        """Stop a transfer; return False if it had ended."""
        if transfer.state is WAITING:
            transfer.stream.withdraw(transfer)
            self._end(transfer, CANCELLED, 0.0)
            transfer.announce()
            return True
        if transfer.state is not MOVING:
            return False
        self._stop(transfer)
        return True

    def route(self, source: str, destination: str, mechanism: str = "batched") -> Route:
        """Return the way that copies take; BadInput where there is none."""
        key = (source, destination, mechanism)
        route = self._routes.get(key)
        if route is None:
            route = find_route(
                self.system, self._rules, source, destination, mechanism, self._gpudirect
            )
            self._routes[key] = route
        return route

    def estimate(
        self,
        source: str,
        destination: str,
        nbytes: float,
        *,
        pieces: float = 1,
        mechanism: str = "batched",
        queued: bool = True,
        priority: int = 0,
        stream: str | None = None,
    ) -> float:
        """Return the seconds that a copy would take if submitted now.

        Without `queued`, or on an idle system, it is exact. With it, the rest of the stream's
        head at its present rate and the times alone of those who wait ahead come first, and of
        each constraint the copy gets what others leave, or an equal part if that is more.

        Raises
        ------
        BadInput
            As `submit`.
        """
        _check_size(nbytes, pieces)
        route = self.route(source, destination, mechanism)
        cost = route.cost(nbytes, pieces)
        if not queued:
            return cost.alone_s
        queue = self._streams.get(stream or route.stream)
        first_s = wait_s(self._state, queue, priority, self.env.now)
        rate = min(cost.bytes_per_s, left_bytes_per_s(self._state, route, cost, queue))
        return first_s + route.latency_s + max(cost.issue_s, nbytes / rate)

    def moved(self) -> dict[tuple[str, str, str], Moved]:
        """Return (link, direction, cause) -> what moved until now, also by unfinished copies."""
        return self.ledger.links(self._moving())

    def check(self) -> None:
        """Require that every link carried what its causes moved; BrokenLaw if it did not."""
        check_conserved(self.moved(), self.carried_bytes(), self._clock_slack_bytes())

    def waiting(self, stream: str) -> int:
        """Return how many transfers wait behind the head of a stream."""
        return len(self._streams[stream]) if stream in self._streams else 0


def _check_size(nbytes: float, pieces: float) -> None:
    if not (0 <= nbytes < math.inf and 1 <= pieces < math.inf):
        what = f"a copy of {nbytes} bytes in {pieces} pieces"
        raise BadInput("transfer", what, "bytes from 0 on, in pieces from 1 on")
