"""Run a scenario: build its parts, let simulated time pass, close the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import simpy
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.simulator.network.network import Network
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.admission import Admission
from tierlab.simulator.serving.arrivals import ARRIVALS
from tierlab.simulator.serving.assemble import make_fleet
from tierlab.simulator.serving.build import Parts, build, check_served
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.fleet import Fleet, Node
from tierlab.simulator.serving.kvcache import KvCache
from tierlab.simulator.serving.ledger import Census, Ledger
from tierlab.simulator.serving.records import Records
from tierlab.simulator.serving.requests import ABSENT, DONE, REJECTED, Requests
from tierlab.simulator.serving.tiering import Tiering
from tierlab.simulator.serving.watch import Watch
from tierlab.simulator.workload import load_workload
from tierlab.traces.schema import Trace

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished simulation, before it becomes figures.

    Attributes
    ----------
    ledger, record
        Of all replicas together.
    caches, tierings
        One of each replica; no `tierings` where there is nothing below HBM.
    network
        Carries the copies between tiers.
    """

    scenario: Scenario
    parts: Parts
    trace: Trace
    requests: Requests
    ledger: Ledger
    record: Records
    caches: tuple[KvCache, ...]
    simulated_s: float
    tierings: tuple[Tiering, ...] = ()
    network: Network | None = None
    wall_s: float = 0.0


def simulate(
    scenario: Scenario, progress: Progress | None = None, watch: Watch | None = None
) -> Run:
    """Simulate a scenario to its last answer.

    Parameters
    ----------
    progress
        Called with the requests that have ended and their number, now and then.
    watch
        Told of every step as it passes; without one, none of that is kept.

    Raises
    ------
    BadInput
        The scenario names something that does not exist or cannot work.
    BrokenLaw
        A conservation law did not hold: a defect in tierlab.
    """
    began = time.perf_counter()
    parts = build(scenario)
    check_served(scenario, parts)
    trace = load_workload(scenario.workload, scenario.seed)
    run = serve(scenario, parts, trace, progress, watch)
    return replace(run, wall_s=time.perf_counter() - began)


def serve(
    scenario: Scenario,
    parts: Parts,
    trace: Trace,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Run:
    """Simulate the requests of `trace` on `parts`, already loaded; `wall_s` stays 0.

    Raises
    ------
    BrokenLaw
        As `simulate`.
    """
    requests, env = Requests.of(trace), simpy.Environment()
    workload = scenario.workload
    arrivals = ARRIVALS[workload.arrivals](env, requests, trace, workload, scenario.seed)
    ended = _Ended(requests.n, progress)
    if watch is not None:
        watch.begins(scenario, parts, trace, requests)
    fleet = make_fleet(scenario, parts, trace, requests, env, watch)
    door = _Door(requests, fleet, parts.max_model_len, ended)

    def answered(row: int) -> None:
        ended.add()
        fleet.answered(row)
        arrivals.answered(row)

    env.process(arrivals.process(door))
    for node in fleet:
        node.replica.on_answer = answered
    env.run()
    for node in fleet:
        node.replica.collect()
    return Run(
        scenario,
        parts,
        trace,
        requests,
        _closed(fleet, requests),
        Records([node.replica for node in fleet]),
        tuple(node.cache for node in fleet),
        _end_s(requests),
        tuple(n.replica.tiering for n in fleet if n.replica.tiering is not None),
        fleet.network,
    )


class _Door:
    """Where requests reach the server: refused, or routed to a replica."""

    def __init__(self, requests: Requests, fleet: Fleet, longest: int, ended: _Ended) -> None:
        self._fleet, self._ended = fleet, ended
        self._admission = Admission(requests, [node.cache for node in fleet], longest)

    def accept(self, row: int) -> bool:
        accepted = self._admission.accepts(row)
        if accepted:
            self._fleet.submit(row)
        else:
            self._ended.add()
        return accepted

    def turn_away(self, row: int) -> None:
        self._admission.reject(row, "session")
        self._ended.add()


def _closed(fleet: Fleet, requests: Requests) -> Ledger:
    """Check the laws on each replica and on all of them; return the ledger of all."""
    ledgers = [_ledger(node) for node in fleet]
    for node, ledger in zip(fleet, ledgers, strict=True):
        ledger.close(census(requests, requests.replica == node.index))
    if fleet.network is not None:
        fleet.network.check()
    total = Ledger.sum(ledgers)
    total.close(census(requests))
    return total


def _ledger(node: Node) -> Ledger:
    """Enter what a replica counted."""
    core = node.replica.core
    reg, real = core.reg, core.real
    if reg[state.RUNNING] or reg[state.WAITING] or reg[state.INBOX]:
        raise BrokenLaw(f"replica {node.index} stopped at {real[state.NOW]} s with work to do")
    ledger = Ledger(int(reg[state.COMPUTED]), int(reg[state.RECOMPUTED]), int(reg[state.OUTPUT]))
    ledger.reused["hbm"] = int(reg[state.REUSED])
    if node.replica.tiering is not None:
        ledger.reused |= node.replica.tiering.reused
    ledger.tick(float(real[state.NOW]))
    capacity = node.cache.size * node.cache.block_bytes
    ledger.occupy("hbm", float(real[state.PEAK_BYTES]), capacity)
    return ledger


class _Ended:
    """Counts requests that have ended and reports now and then."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._count = total, progress, 0

    def add(self) -> None:
        self._count += 1
        if self._progress and (self._count % 64 == 0 or self._count == self._total):
            self._progress(self._count, self._total)


def _end_s(requests: Requests) -> float:
    last = np.concatenate([requests.arrival_s, requests.last_token_s])
    return float(np.nanmax(last, initial=0.0))


def census(requests: Requests, of: NDArray[np.bool_] | None = None) -> Census:
    """Count what the requests themselves say: all, or the chosen ones."""
    rows = slice(None) if of is None else of
    status = requests.status[rows]
    finished = int((status == DONE).sum())
    rejected = int((status == REJECTED).sum())
    arrived = len(status) - int((status == ABSENT).sum())
    touched = np.minimum(requests.furthest[rows], requests.input_tokens[rows])
    return Census(
        arrived=arrived,
        finished=finished,
        rejected=rejected,
        in_flight=arrived - finished - rejected,
        input_tokens=int(touched.sum()),
        recomputed=int(requests.recomputed[rows].sum()),
        output=int(requests.generated[rows].sum()),
    )
