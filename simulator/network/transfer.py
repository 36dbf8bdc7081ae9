"""A transfer: one copy of some pieces from one node to another, for a cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import simpy

if TYPE_CHECKING:
    from tierlab.simulator.network.network import Network
    from tierlab.simulator.network.route import Route
    from tierlab.simulator.network.stream import Stream

CAUSES = (
    "hit",
    "promotion",
    "prefetch",
    "write_back",
    "write_through",
    "selection",
    "swap",
    "weights",
    "collectives",
)
"""Why bytes move."""

WAITING, MOVING, DONE, CANCELLED = "waiting", "moving", "done", "cancelled"


class Transfer:
    """A copy that waits in its stream, moves, and is done or cancelled.

    Attributes
    ----------
    number
        0, 1, ... in the order of submission.
    route
        Its way: source, destination, mechanism, links.
    nbytes, logical_bytes, pieces
        Bytes that cross the links; bytes of KV (or weights) that they stand for; separate copies.
    cause, priority
        One of `CAUSES`; of those that wait in a stream the lowest priority goes first.
    cost
        Its duration alone, and what it takes of the constraints on its way.
    queued_s, start_s, end_s
        When it was submitted, became the head of its stream, and ended; NaN before.
    moved_bytes
        Bytes moved when it ended: all of them unless it was cancelled.
    state
        ``waiting``, ``moving``, ``done`` or ``cancelled``.
    """

    __slots__ = (
        "_done",
        "_network",
        "_then",
        "cause",
        "cost",
        "end_s",
        "logical_bytes",
        "moved_bytes",
        "nbytes",
        "number",
        "pieces",
        "priority",
        "queued_s",
        "route",
        "start_s",
        "state",
        "stream",
    )

    def __init__(
        self,
        network: Network,
        number: int,
        route: Route,
        stream: Stream,
        nbytes: float,
        logical_bytes: float,
        pieces: float,
        cause: str,
        priority: int,
        then: Callable[[Transfer], None] | None,
    ) -> None:
        self._network = network
        self._done: simpy.Event | None = None
        self._then = then
        self.number = number
        self.route = route
        self.stream = stream
        self.nbytes = nbytes
        self.logical_bytes = logical_bytes
        self.pieces = pieces
        self.cause = cause
        self.priority = priority
        self.cost = route.cost(nbytes, pieces)
        self.queued_s = network.env.now
        self.start_s = self.end_s = float("nan")
        self.moved_bytes = 0.0
        self.state = WAITING

    @property
    def done(self) -> simpy.Event:
        """The event that it ended, or was cancelled; its value is the transfer.

        It is made on first use, so that a copy that nobody waits for costs no event.
        """
        if self._done is None:
            self._done = simpy.Event(self._network.env)
            if self.state in (DONE, CANCELLED):
                self._done.succeed(self)
        return self._done

    @property
    def ended(self) -> bool:
        """Whether it is done or cancelled."""
        return self.state in (DONE, CANCELLED)

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.state == CANCELLED

    def cancel(self) -> bool:
        """Stop it, waiting or moving; return False if it had ended.

        What moved until now stays in the ledger; the stream goes on with the next.
        """
        return self._network.cancel(self)

    def announce(self) -> None:
        """Tell those who wait."""
        if self._done is not None:
            self._done.succeed(self)
        if self._then is not None:
            self._then(self)
