"""When requests arrive, whatever the server does: as logged, or at a rate in the logged order.

Sessions that wait for their answers are in `tierlab.simulator.serving.sessions`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

import numpy as np
import simpy

from tierlab.simulator.scenario.schema import WorkloadSection
from tierlab.simulator.serving.requests import Requests
from tierlab.simulator.serving.sessions import ClosedLoop, Door
from tierlab.traces.schema import Trace

Process = Generator[simpy.Event, Any, None]
_STREAM = 1
"""Random stream of gaps between requests; the trace itself is drawn from stream 0."""


class OpenLoop:
    """Requests arrive at the times of the trace."""

    def __init__(
        self,
        env: simpy.Environment,
        requests: Requests,
        trace: Trace,
        workload: WorkloadSection,
        seed: int,
    ) -> None:
        self._env, self._r = env, requests

    def process(self, door: Door) -> Process:
        """Bring every request to the door at its time."""
        env = self._env
        for row, at in enumerate(self._r.arrival_s.tolist()):
            while at > env.now:  # again where a sum of times was rounded down
                yield env.timeout(at - env.now)
            door.accept(row)

    def answered(self, row: int) -> None:
        """Do nothing: later arrivals do not depend on answers."""


class AtRate(OpenLoop):
    """Requests arrive in the trace's order at a rate, the first at 0.

    The gaps are Gamma-distributed with shape `burstiness` and scale 1 / (rate x burstiness), as
    in ``vllm bench serve --request-rate --burstiness``; shape 1 is a Poisson process. Later
    versions of that tool stretch the drawn gaps so that they end when the rate says; these do not.
    """

    def __init__(
        self,
        env: simpy.Environment,
        requests: Requests,
        trace: Trace,
        workload: WorkloadSection,
        seed: int,
    ) -> None:
        super().__init__(env, requests, trace, workload, seed)
        shape, rate = workload.burstiness, workload.rate_per_s or 1.0
        random = np.random.default_rng([seed, _STREAM])
        gap_s = random.gamma(shape, 1.0 / (rate * shape), requests.n)
        requests.arrival_s[:] = np.cumsum(gap_s) - gap_s[0]


class Arrivals(Protocol):
    """How requests reach the server; one is made per run."""

    def __init__(
        self,
        env: simpy.Environment,
        requests: Requests,
        trace: Trace,
        workload: WorkloadSection,
        seed: int,
    ) -> None: ...

    def process(self, door: Door) -> Process:
        """Bring every request to the door when it arrives."""

    def answered(self, row: int) -> None:
        """Take note that a request was answered now."""


ARRIVALS: dict[str, type[Arrivals]] = {
    "open": OpenLoop,
    "poisson": AtRate,
    "gamma": AtRate,
    "closed": ClosedLoop,
}
