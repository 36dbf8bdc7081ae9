"""From the parts of a scenario to the replicas that serve it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import simpy

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.network.network import Network
from tierlab.simulator.scenario.schema import EngineSection, Scenario
from tierlab.simulator.serving.below import find_below
from tierlab.simulator.serving.build import Parts
from tierlab.simulator.serving.clocks import Clock, OpTimes, ProfileTimes
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.naming import Names
from tierlab.simulator.serving.engine.new import new_columns, new_core, new_names, units_of
from tierlab.simulator.serving.estimates import Estimates, Timer
from tierlab.simulator.serving.fleet import Fleet, Node
from tierlab.simulator.serving.kept import keep, prunes, unpruned
from tierlab.simulator.serving.kvcache import KvCache
from tierlab.simulator.serving.layers import Layers
from tierlab.simulator.serving.memory import KvPool, kv_pool
from tierlab.simulator.serving.places import Places, find_places
from tierlab.simulator.serving.reads import bytes_read
from tierlab.simulator.serving.replica import Replica
from tierlab.simulator.serving.requests import Requests
from tierlab.simulator.serving.routing.registry import make_router
from tierlab.simulator.serving.tiering import Tiering
from tierlab.simulator.serving.timers import host_time, profile_timer, step_timer
from tierlab.simulator.serving.watch import Watch
from tierlab.simulator.tiers.build import make_hierarchies, make_loading, tier_specs
from tierlab.simulator.tiers.hierarchy import Hierarchy
from tierlab.simulator.tiers.spec import TierSpec
from tierlab.traces.schema import Trace

_MODES = {
    "request_async": state.REQUEST_ASYNC,
    "layerwise": state.LAYERWISE,
    "blocking": state.BLOCKING,
}


def make_fleet(
    scenario: Scenario,
    parts: Parts,
    trace: Trace,
    requests: Requests,
    env: simpy.Environment,
    watch: Watch | None = None,
) -> Fleet:
    """Make the replicas; they share the requests, the clock and the names of blocks.

    Parameters
    ----------
    watch
        Told of every step, and of what the tiers hold.

    Raises
    ------
    BadInput
        Tiers that cannot stand on each other, or that the hardware has no place for.
    """
    engine, columns = scenario.engine, new_columns(requests)
    timer, clock = _timer(scenario, parts)
    names, specs = _names(scenario, parts, trace), _specs(scenario, parts)
    pool, tp = served_pool(parts, engine), engine.tensor_parallel_size
    reads = bytes_read(parts.model, unpruned(parts.design), tp, parts.max_model_len + 1)
    kept, below = keep(parts, tp, requests), find_below(parts, engine)
    exact = scenario.workload.arrivals == "closed"
    written_back = bool(specs) and specs[0].write == "back"
    host = host_time(scenario, parts)
    delays = np.zeros(requests.n) if host is None else host.queued_after_s(requests.input_tokens)

    def node(index: int) -> Node:
        cold_s, watched = scenario.time.host.first_launch_s, watch is not None
        core = new_core(columns, names, engine, pool, reads, kept, written_back, cold_s, watched)
        if below is not None:
            below.give(core)
        return Node(index, KvCache(core), Replica(env, core, clock, exact, _nobody, delays))

    nodes = [node(index) for index in range(engine.replicas)]
    network = _add_tiers(scenario, parts, env, specs, timer, nodes) if specs else None
    if watch is not None:
        _let_watch(watch, nodes)
    return Fleet(nodes, make_router(engine.routing), requests, trace, network)


def _let_watch(watch: Watch, nodes: list[Node]) -> None:
    for node in nodes:
        replica, tiering = node.replica, node.replica.tiering
        replica.tape = partial(watch.passed, node.index)
        if tiering is not None:
            tiering.look = partial(watch.hold, node.index, tiering)


def served_pool(parts: Parts, engine: EngineSection) -> KvPool:
    """Return the pool whose table says what unpruned contexts take: all prompts once are.

    Raises
    ------
    BadInput
        Prefixes are shared, but a block of the pool holds more than a block of tokens.
    """
    pool = parts.pool
    if prunes(parts.design):
        whole = unpruned(parts.design)
        pool = kv_pool(parts.model, parts.memory, engine, whole, parts.max_model_len)
    blocks = np.arange(len(pool.table))
    shares = parts.design.policies["reuse"].declares.shares
    if shares and (units_of(pool) < blocks).any():
        raise BadInput(
            "design.reuse",
            f"prefixes are shared by blocks of {engine.block_size} tokens, and "
            f"{parts.design.name!r} stores long contexts in fewer",
            'reuse = "none", or bf16 or fp8 in HBM',
        )
    return pool


def _nobody(row: int) -> None:
    """Stand where a replica reports its answers until the run begins."""


def _names(scenario: Scenario, parts: Parts, trace: Trace) -> Names | None:
    if not parts.design.policies["reuse"].declares.shares:
        return None
    size, share = scenario.engine.block_size, scenario.workload.reuse_output
    return new_names(trace, size, parts.max_model_len, share)


def _timer(scenario: Scenario, parts: Parts) -> tuple[Timer, Clock]:
    """Return how long steps take, for estimates and for the loop."""
    engine = scenario.engine
    profile = profile_timer(scenario, parts)
    if profile is not None:
        budget = engine.max_num_batched_tokens
        return profile, ProfileTimes(profile, engine.max_num_seqs, budget)
    timer = step_timer(scenario, parts)
    return timer, OpTimes(timer)


def _specs(scenario: Scenario, parts: Parts) -> tuple[TierSpec, ...]:
    """Return the tiers below HBM; none where nothing is kept for other requests."""
    section, engine, pool = scenario.tiers, scenario.engine, parts.pool
    if not section.names():
        return ()
    if not parts.design.policies["reuse"].declares.shares:
        raise BadInput("tiers", "the design keeps nothing for other requests", "design vllm")
    ranks = engine.tensor_parallel_size
    token_bytes = pool.block_bytes * ranks / engine.block_size
    hbm_bytes = pool.num_blocks * pool.block_bytes * ranks
    tensors = parts.model.kv_tensors()
    return tier_specs(section, engine.block_size, token_bytes, hbm_bytes, tensors)


@dataclass(frozen=True, eq=False)
class _Below:
    """What all replicas have in common below HBM."""

    env: simpy.Environment
    network: Network
    estimates: Estimates
    scenario: Scenario

    def add(self, node: Node, tiers: Hierarchy, places: Places) -> None:
        """Give a replica its tiers."""
        core, replica, section = node.replica.core, node.replica, self.scenario.tiers
        core.reg[state.TIERED], core.reg[state.LOAD_MODE] = 1, _MODES[section.load]
        core.reg[state.STORES_FIRST] = section.store == "blocking"
        loading = make_loading(section)
        tiering = Tiering(
            self.env, core, tiers, loading, self.network, places, self.estimates, replica.wake
        )
        replica.tiering = tiering
        if self.scenario.engine.fidelity == "layer":
            tiering.by_layer = True
            replica.layers = Layers(self.env, core, self.estimates.layers, tiering)


def _add_tiers(
    scenario: Scenario,
    parts: Parts,
    env: simpy.Environment,
    specs: tuple[TierSpec, ...],
    timer: Timer,
    nodes: list[Node],
) -> Network:
    """Give the replicas their tiers; return the network that all of them share."""
    engine, section = scenario.engine, scenario.tiers
    network, layers = Network(env, parts.system), len(parts.model.layers)
    overlaps = section.load == "layerwise"
    budget = engine.max_num_batched_tokens
    estimates = Estimates(network, timer, budget, engine.block_size, layers, overlaps)
    below = _Below(env, network, estimates, scenario)
    hbm_tokens = float(parts.pool.num_blocks * engine.block_size)
    made = make_hierarchies(section, specs, engine.block_size, hbm_tokens, len(nodes))
    places = find_places(parts.system, specs, len(nodes), engine.tensor_parallel_size)
    for node, tiers, place in zip(nodes, made, places, strict=True):
        below.add(node, tiers, place)
    return network
