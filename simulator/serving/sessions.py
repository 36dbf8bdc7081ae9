"""Closed loop: sessions open, and each turn follows the simulated answer before it.

Logged times embed the speed of the server that was logged; think times do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.schema import WorkloadSection
from tierlab.simulator.serving.requests import Requests
from tierlab.traces.schema import Trace

Process = Generator[simpy.Event, Any, None]
_STREAM = 2
"""Random stream of session starts; 0 draws the trace, 1 gaps between requests."""


class Door(Protocol):
    """Where requests reach the server."""

    def accept(self, row: int) -> bool:
        """Take a request that arrives now, or reject it; return which."""

    def turn_away(self, row: int) -> None:
        """Reject a request because an earlier one of its session was rejected."""


class SessionTree:
    """Which request follows which, in a session and from a session to its subagents.

    Attributes
    ----------
    following
        int64[n], the session's next turn, or -1.
    parent
        int64[n], the request that spawned this request's session, or -1.
    roots
        int64[sessions without a parent], first turns in order of arrival.

    Raises
    ------
    BadInput
        Sessions that spawn each other in a circle: none of them could ever start.
    """

    def __init__(self, trace: Trace) -> None:
        order = np.lexsort((trace.turn, trace.session))
        opens = np.diff(trace.session[order], prepend=-1) != 0
        self.following = np.full(len(order), -1, np.int64)
        self.following[order[:-1][~opens[1:]]] = order[1:][~opens[1:]]
        first = order[opens]
        spawner = trace.parent[first]
        _check_circles(np.where(spawner >= 0, trace.session[spawner], -1), first)
        self.parent = spawner[trace.session]
        self.roots = np.sort(first[spawner < 0])
        self._children: dict[int, list[int]] = defaultdict(list)
        for row in np.sort(first[spawner >= 0]).tolist():
            self._children[int(trace.parent[row])].append(row)

    def children(self, row: int) -> list[int]:
        """Return the first turns of the subagents that a request spawns."""
        return self._children.get(row, [])


def _check_circles(up: NDArray[np.int64], first: NDArray[np.int64]) -> None:
    above = up
    for _ in range(len(up).bit_length() + 1):
        above = np.where(above >= 0, above[above], -1)
    if (above >= 0).any():
        row = int(first[np.argmax(above >= 0)])
        raise BadInput(
            "workload.trace", f"the session of row {row} descends from itself", "parents without it"
        )


class ClosedLoop:
    """Sessions: a turn arrives a think time after the answer before it.

    A session starts as the trace says, or by a Poisson process, once fewer than
    `max_open_sessions` are open. A request's subagents start when it is answered, each after the
    think time of its first turn, and belong to the session that spawned them. The next turn
    arrives after its think time and after they have ended, whichever is later: logged think times
    cover the subagents. A turn without a logged think time does not wait. A rejected turn ends its
    session and what the session would have spawned.
    """

    def __init__(
        self,
        env: simpy.Environment,
        requests: Requests,
        trace: Trace,
        workload: WorkloadSection,
        seed: int,
    ) -> None:
        self._env, self._r = env, requests
        self._tree = SessionTree(trace)
        self._starts_s = _starts_s(self._tree.roots, trace, workload, seed)
        self._think_s = np.nan_to_num(trace.think_s, nan=0.0)
        self._session = trace.session
        self._places = simpy.Resource(env, workload.max_open_sessions)
        self._place: dict[int, simpy.resources.resource.Request] = {}
        self._awaited: dict[int, int] = {}

    def process(self, door: Door) -> Process:
        """Open the sessions in order, each when it starts and there is a place."""
        env, self._door = self._env, door
        starts = zip(self._tree.roots.tolist(), self._starts_s.tolist(), strict=True)
        for row, at in starts:
            while at > env.now:  # again where a sum of times was rounded down
                yield env.timeout(at - env.now)
            place = self._places.request()
            if not place.triggered:
                yield place
            self._place[int(self._session[row])] = place
            self._arrive(row)

    def answered(self, row: int) -> None:
        """Start what the answer spawns, and the think time before the next turn."""
        children, follower = self._tree.children(row), int(self._tree.following[row])
        self._awaited[row] = len(children) + 1
        for child in children:
            self._later(float(self._think_s[child]), self._arrive, child)
        thinks = float(self._think_s[follower]) if follower >= 0 else 0.0
        self._later(thinks, self._awaited_one, row)

    def _later(self, delay_s: float, act: Callable[[int], None], row: int) -> None:
        self._env.timeout(delay_s).callbacks.append(lambda _: act(row))

    def _awaited_one(self, row: int) -> None:
        """Go on after an answer once its think time and its subagents are over."""
        self._awaited[row] -= 1
        if self._awaited[row]:
            return
        del self._awaited[row]
        follower = int(self._tree.following[row])
        if follower >= 0:
            self._arrive(follower)
        else:
            self._close(row)

    def _arrive(self, row: int) -> None:
        self._r.arrival_s[row] = self._env.now
        if not self._door.accept(row):
            self._turn_away_rest(row)
            self._close(row)

    def _turn_away_rest(self, row: int) -> None:
        rest = self._after(row)
        while rest:
            at = rest.pop()
            self._r.arrival_s[at] = self._env.now
            self._door.turn_away(at)
            rest += self._after(at)

    def _after(self, row: int) -> list[int]:
        follower = int(self._tree.following[row])
        return self._tree.children(row) + ([follower] if follower >= 0 else [])

    def _close(self, row: int) -> None:
        """End a request's session: its parent goes on, or its place is free."""
        parent = int(self._tree.parent[row])
        if parent >= 0:
            self._awaited_one(parent)
        else:
            self._places.release(self._place.pop(int(self._session[row])))


def _starts_s(
    roots: NDArray[np.int64], trace: Trace, workload: WorkloadSection, seed: int
) -> NDArray[np.float64]:
    """Return when the sessions start, float64[roots], rising; a Poisson process starts at 0."""
    logged: NDArray[np.float64] = trace.arrival_s[roots]
    at_once = len(roots) > 1 and not np.ptp(logged)
    if (workload.session_starts or ("poisson" if at_once else "trace")) == "trace":
        return logged
    random = np.random.default_rng([seed, _STREAM])
    gap_s = random.exponential(1.0 / workload.sessions_per_s, len(roots))
    starts: NDArray[np.float64] = np.cumsum(gap_s) - gap_s[0]
    return starts
