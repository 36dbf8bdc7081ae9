"""Max-min fairness: what defines it, and an independent program; and that no capacity idles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.hwmodels.catalogue import load_system
from tierlab.simulator.network import state as columns
from tierlab.simulator.network.fluid import advance
from tierlab.simulator.network.state import FLOWING, PATH_HEAD, SLOT_HEAD, State, new_state

HUGE = 1e15


def flows_of(capacity, usage, bounds) -> State:
    """Return a state in which every row of `usage` (flows x constraints) is about to flow."""
    state = new_state(len(usage), len(capacity), np.array(capacity, float), [], 1)
    for s, row in enumerate(usage):
        used = [r for r, weight in enumerate(row) if weight]
        state.path[s, columns.PHASE] = columns.LATENT
        state.path[s, columns.WIDTH] = len(used)
        state.path[s, PATH_HEAD : PATH_HEAD + len(used)] = used
        state.slot[s, SLOT_HEAD : SLOT_HEAD + len(used)] = [row[r] for r in used]
        state.slot[s, columns.NEXT] = 0.0
        state.slot[s, columns.REMAINING] = HUGE
        state.slot[s, columns.BOUND] = bounds[s]
    return state


def rates_of(state: State) -> np.ndarray:
    advance(state, len(state.slot), 0.0)
    return state.slot[:, columns.RATE].copy()


def assert_max_min(rates, capacity, usage, bounds) -> None:
    """Check the definition: feasible, and each flow is at its bound or has a bottleneck.

    A bottleneck is a full constraint on which no flow is faster (Bertsekas and Gallager, 6.5.2).
    """
    load = rates @ usage
    assert (load <= capacity * (1 + 1e-9)).all()
    assert (rates <= bounds * (1 + 1e-9)).all()
    full = load >= capacity * (1 - 1e-9)
    for s, rate in enumerate(rates):
        fastest = [
            rate >= rates[usage[:, r] > 0].max() * (1 - 1e-9) for r in np.flatnonzero(usage[s])
        ]
        held = [full[r] for r in np.flatnonzero(usage[s])]
        bottleneck = any(a and b for a, b in zip(fastest, held, strict=True))
        assert bottleneck or rate >= bounds[s] * (1 - 1e-9)


@st.composite
def problems(draw):
    flows, rules = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    positive = st.floats(0.01, 1000.0)
    capacity = np.array(draw(st.lists(positive, min_size=rules, max_size=rules)))
    weight = st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.0, 0.37])
    usage = np.array([draw(st.lists(weight, min_size=rules, max_size=rules)) for _ in range(flows)])
    bounds = np.array(draw(st.lists(positive, min_size=flows, max_size=flows)))
    return capacity, usage, bounds


@settings(max_examples=300, deadline=None)
@given(problems())
def test_rates_are_max_min_fair(problem) -> None:
    capacity, usage, bounds = problem
    assert_max_min(rates_of(flows_of(capacity, usage, bounds)), capacity, usage, bounds)


def by_linear_programs(capacity, usage, bounds) -> np.ndarray:
    """Return the max-min fair rates by raising the lowest as far as a linear program allows."""
    from scipy.optimize import linprog

    n = len(usage)
    fixed: dict[int, float] = {}
    while len(fixed) < n:
        free = [s for s in range(n) if s not in fixed]
        limits = [(fixed[s], fixed[s]) if s in fixed else (0.0, bounds[s]) for s in range(n)]

        def best(goal, floor, free=free, limits=limits):
            low = [(max(a, floor) if s in free else a, b) for s, (a, b) in enumerate(limits)]
            rows = np.hstack([usage.T, np.zeros((len(capacity), 1))])
            above = np.zeros((len(free), n + 1))
            for i, s in enumerate(free):
                above[i, s], above[i, n] = -1.0, 1.0
            answer = linprog(
                -np.array(goal),
                np.vstack([rows, above]),
                np.concatenate([capacity, np.zeros(len(free))]),
                bounds=[*low, (0.0, None)],
            )
            assert answer.status == 0
            return -answer.fun

        level = best([0.0] * n + [1.0], 0.0)
        for s in free:
            goal = [float(i == s) for i in range(n)] + [0.0]
            if best(goal, level * (1 - 1e-9)) <= level * (1 + 1e-6):
                fixed[s] = level
    return np.array([fixed[s] for s in range(n)])


@settings(max_examples=25, deadline=None)
@given(problems())
def test_rates_equal_those_of_linear_programs(problem) -> None:
    capacity, usage, bounds = problem
    ours = rates_of(flows_of(capacity, usage, bounds))
    assert ours == pytest.approx(by_linear_programs(capacity, usage, bounds), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(problems(), st.data())
def test_rates_are_max_min_fair_after_every_change(problem, data) -> None:
    """Flows begin and end one by one; only what a change reaches is computed again."""
    capacity, usage, bounds = problem
    state = flows_of(capacity, usage, bounds)
    state.slot[:, columns.NEXT] = np.inf
    alive: list[int] = []
    for now in range(1, 2 * len(usage) + 1):
        idle = [s for s in range(len(usage)) if s not in alive]
        s = data.draw(st.sampled_from(idle + alive))
        if s in alive:
            alive.remove(s)
        else:
            alive.append(s)
            state.path[s, columns.PHASE] = columns.LATENT
            state.slot[s, columns.REMAINING] = HUGE
        state.slot[s, columns.NEXT] = float(now)
        advance(state, len(usage), float(now))
        assert sorted(alive) == np.flatnonzero(state.path[:, columns.PHASE] == FLOWING).tolist()
        rates = state.slot[alive, columns.RATE]
        assert_max_min(rates, capacity, usage[alive], bounds[alive])
        assert rates @ usage[alive] == pytest.approx(
            state.rule[:, columns.LOAD], rel=1e-9, abs=1e-9
        )


SYSTEMS = ("h200-tiered", "h200-8x", "h200-cxl-switched", "a6000-instinfer")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SYSTEMS), st.data())
def test_copies_on_real_systems_are_max_min_fair(network, name, data) -> None:
    net = network(name)
    ends = [n for n in load_system(name).nodes if "switch" not in n]
    for i in range(data.draw(st.integers(1, 14))):
        a, b = data.draw(st.permutations(ends).map(lambda p: p[:2]))
        how = data.draw(st.sampled_from(["loop", "batched"]))
        pieces = data.draw(st.integers(1, 10_000))
        net.submit(a, b, 1e12, pieces=pieces, mechanism=how, cause="hit", stream=f"s{i}")
    net.env.run(until=0.01)
    state = net._state
    used = len(net._by_slot)
    usage = np.zeros((used, len(state.rule)))
    for s in range(used):
        at = state.path[s, PATH_HEAD : PATH_HEAD + state.path[s, columns.WIDTH]]
        usage[s, at] = state.slot[s, SLOT_HEAD : SLOT_HEAD + len(at)]
    rates, bounds = state.slot[:used, columns.RATE], state.slot[:used, columns.BOUND]
    assert_max_min(rates, state.rule[:, columns.CAPACITY], usage, bounds)
    net.check()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e6, 1e9), min_size=1, max_size=12), st.integers(1, 6))
def test_a_link_never_idles_while_copies_wait(network, sizes, streams) -> None:
    """Without latency, all are done when the link has carried all, however they are queued."""
    from dataclasses import replace

    net = network(None)
    edge = net.system.edges[0]
    net = network(
        replace(
            net.system,
            edges=(replace(edge, link=replace(edge.link, latency_s=0.0, issue_cost_s=0.0)),),
            _routes={},
        )
    )
    copies = [
        net.submit("host0", "gpu0", size, cause="hit", stream=f"s{i % streams}")
        for i, size in enumerate(sizes)
    ]
    net.env.run()
    expected = sum(sizes) / 55.6e9
    assert max(c.end_s for c in copies) == pytest.approx(expected, rel=1e-9)
    assert net.busy_s()["pcie5-x16[host0-gpu0]", "down"] == pytest.approx(expected, rel=1e-9)


def test_rates_are_computed_only_where_a_constraint_can_bind(network) -> None:
    """The column `NEW` is written by the filling alone."""
    net = network("h200-8x")
    for i in range(4):
        net.submit("host0", f"gpu{i}", 1e9, cause="hit")
        net.submit("host0", f"gpu{i}", 2e9, cause="hit")
    net.env.run()
    assert not net._state.slot[:, columns.NEW].any()
    copies = [
        net.submit(*ends, 1e9, cause="hit") for ends in (("host0", "gpu0"), ("gpu0", "host0"))
    ]
    net.env.run()
    filled = {net._by_slot[s].name for s in np.flatnonzero(net._state.slot[:, columns.NEW])}
    assert filled == {copy.stream.name for copy in copies}
