"""Several replicas behind a router, on known step times."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.results.tables import REQUESTS, STEPS, requests_frame, steps_frame
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.engine import new
from tierlab.simulator.serving.ledger import Ledger
from tierlab.simulator.serving.requests import DONE, REJECTED
from tierlab.simulator.serving.routing.registry import ROUTERS
from tierlab.simulator.serving.run import census

NAN = float("nan")


def test_round_robin_serves_side_by_side(trace, served):
    run = served(trace([0.0] * 4, [10] * 4, [5] * 4), replicas=2, max_num_seqs=1)
    assert run.requests.replica.tolist() == [0, 1, 0, 1]
    assert run.requests.last_token_s.tolist() == pytest.approx([5.0, 5.0, 10.0, 10.0])


def test_each_replica_has_memory_of_its_own(trace, served):
    """6 blocks of 16: two of these requests do not fit one replica together, but one each does."""
    requests = trace([0.0, 0.0], [32, 32], [40, 40])
    assert served(requests, blocks=6).requests.preemptions.sum() == 1
    assert served(requests, blocks=6, replicas=2).requests.preemptions.sum() == 0


def test_two_replicas_of_half_the_requests_are_two_runs(trace, served):
    rng = np.random.default_rng(3)
    at = np.sort(rng.uniform(0, 60, 40)).tolist()
    prompt, output = rng.integers(1, 300, (2, 40)).tolist()
    both = served(trace(at, prompt, output), blocks=60, replicas=2).requests
    for half in (0, 1):
        alone = served(trace(at[half::2], prompt[half::2], output[half::2]), blocks=60).requests
        np.testing.assert_allclose(both.last_token_s[half::2], alone.last_token_s, rtol=1e-12)
        assert both.preemptions[half::2].tolist() == alone.preemptions.tolist()


def test_least_loaded_evens_out_prompts_of_unequal_length(trace, served):
    requests = trace([0.0, 0.1, 0.2, 0.3], [900, 100, 100, 100], [50] * 4)
    run = served(requests, replicas=2, routing="least_loaded")
    assert run.requests.replica.tolist() == [0, 1, 1, 1]


def test_an_answer_takes_its_load_off(trace, served):
    requests = trace([0.0, 0.1, 20.0], [900, 100, 10], [5, 50, 5])
    run = served(requests, replicas=2, routing="least_loaded")
    assert run.requests.replica.tolist() == [0, 1, 0]


def family(trace):
    """Three sessions of two turns, 64 tokens and then 96 that begin with them."""
    ids = [[i * 10, i * 10 + 1] for i in range(3)]
    second = [[*each, 90 + i] for i, each in enumerate(ids)]
    return trace(
        [0.0, 1.0, 2.0, 30.0, 31.0, 32.0],
        [64] * 3 + [96] * 3,
        [4] * 6,
        session=[0, 1, 2, 0, 1, 2],
        block_tokens=32,
        ids=[*ids, *second],
    )


@pytest.mark.parametrize("name", ["prefix_aware", "session_sticky"])
def test_turns_find_their_prefix_where_the_router_looks_for_it(trace, served, name):
    found = served(family(trace), replicas=2, routing=name, design="vllm")
    assert found.requests.replica[:3].tolist() == found.requests.replica[3:].tolist()
    assert found.requests.reused.tolist() == [0, 0, 0, 64, 64, 64]


def test_turns_do_not_find_their_prefix_on_another_replica(trace, served):
    found = served(family(trace), replicas=2, routing="round_robin", design="vllm")
    assert found.requests.replica.tolist() == [0, 1, 0, 1, 0, 1]
    assert found.requests.reused.tolist() == [0] * 6


LOOKS = """
from dataclasses import dataclass

@dataclass
class Looks:
    turn: int = -1

    def choose(self, request, replicas):
        self.turn += 1
        seen = [request.cached_tokens(r.index) for r in replicas for _ in range(3)]
        return self.turn % len(replicas) if max(seen) >= 0 else 0

ROUTER = Looks
"""


def test_looking_for_a_prefix_changes_nothing(trace, served, tmp_path):
    """A router that looks everywhere but goes round serves as one that does not look."""
    (tmp_path / "looks.py").write_text(LOOKS)
    plain = served(family(trace), replicas=3, blocks=12, design="vllm")
    file = str(tmp_path / "looks.py")
    looks = served(family(trace), replicas=3, blocks=12, design="vllm", routing=file)
    assert looks.requests.reused.sum() > 0
    for name, column in vars(plain.requests).items():
        np.testing.assert_array_equal(column, getattr(looks.requests, name), err_msg=name)


def test_a_router_sees_what_a_hit_could_use(trace, served, tmp_path):
    """Of a prompt that is there as a whole, all but the last block: its last token is computed."""
    choice = "self.turn % 2 if max(seen) in (0, 48) else 2"
    (tmp_path / "looks.py").write_text(
        LOOKS.replace("self.turn % len(replicas) if max(seen) >= 0 else 0", choice)
    )
    ids = [list(range(4))] * 2
    requests = trace([0.0, 50.0], [64, 64], [2, 2], block_tokens=16, ids=ids)
    file = str(tmp_path / "looks.py")
    run = served(requests, replicas=3, design="vllm", routing=file)
    assert run.requests.replica.tolist() == [0, 1]
    assert served(requests, design="vllm").requests.reused.tolist() == [0, 48]


def test_without_a_prefix_cache_nothing_is_cached_anywhere(trace, served):
    found = served(family(trace), replicas=2, routing="prefix_aware")
    assert found.ledger.reused["hbm"] == 0


def test_more_replicas_than_the_system_has_gpus_are_refused_with_what_would_do():
    data = {
        "model": "SmolLM2-135M",
        "hardware": "H200",
        "workload": {"generator": "poisson"},
        "engine": {"replicas": 8},
    }
    with pytest.raises(BadInput, match="8xH200"):
        build(validate(data, "x"))
    pairs = {"replicas": 4, "tensor_parallel_size": 3}
    with pytest.raises(BadInput, match="at most 2, or hardware such as 12xH200"):
        build(validate({**data, "hardware": "8xH200", "engine": pairs}, "x"))
    assert len(build(validate({**data, "hardware": "8xH200"}, "x")).system.gpus()) == 8


def test_figures_add_up_over_replicas(trace, served):
    """Two replicas with the same requests: twice the tokens, bytes, dollars and joules of one."""
    at, prompt, output = [0.0, 0.0, 7.0, 7.0], [40, 40, 90, 90], [9, 9, 5, 5]
    two = summarise(served(trace(at, prompt, output), replicas=2, blocks=40))
    one = summarise(served(trace(at[::2], prompt[::2], output[::2]), blocks=40, hardware="2xH200"))
    for key in ("output_tokens_per_s", "usd_total", "attention_bytes"):
        assert two[key] == pytest.approx(2 * one[key])
    assert two["tiers"]["hbm"]["peak_bytes"] == 2 * one["tiers"]["hbm"]["peak_bytes"]
    assert two["tiers"]["hbm"]["capacity_bytes"] == 2 * one["tiers"]["hbm"]["capacity_bytes"]
    assert two["tokens"]["computed"] == 2 * one["tokens"]["computed"]
    assert two["usd_per_million_output_tokens"] == pytest.approx(
        one["usd_per_million_output_tokens"]
    )
    assert two["joules_per_output_token"] == pytest.approx(one["joules_per_output_token"])
    assert two["sources"] == pytest.approx(one["sources"])
    assert two["itl_s"] == pytest.approx(one["itl_s"])


def test_tables_name_the_replica_and_the_tokens_reused(trace, served):
    requests = family(trace)
    run = served(requests, replicas=2, routing="session_sticky", design="vllm")
    table, steps = requests_frame(run), steps_frame(run)
    assert table.columns == list(REQUESTS)
    assert steps.columns == list(STEPS)
    assert table["reused_tokens"].to_list() == [0, 0, 0, 64, 64, 64]
    assert table["computed_tokens"].to_list() == [64] * 3 + [32] * 3
    assert (table["computed_tokens"] + table["reused_tokens"]).to_list() == [64] * 3 + [96] * 3
    assert set(table["replica"]) == set(steps["replica"]) == {0, 1}
    assert steps["start_s"].is_sorted()
    for index in (0, 1):
        one = steps.filter(steps["replica"] == index)
        assert (one["start_s"][1:] >= one["end_s"][:-1] - 1e-9).all()


def test_a_rejected_request_has_no_replica(trace, served):
    run = served(trace([0.0, 1.0], [9000, 10], [1, 1]), replicas=2)
    assert requests_frame(run)["replica"].to_list() == [None, 0]


def test_ledgers_add_up():
    one = Ledger(computed=3, output=2, now_s=4.0)
    one.occupy("hbm", 7.0, 10.0)
    other = Ledger(computed=1, recomputed=2, now_s=3.0)
    other.reused["hbm"] = 6
    other.occupy("hbm", 2.0, 10.0)
    total = Ledger.sum([one, other])
    assert (total.computed, total.recomputed, total.output, total.now_s) == (4, 2, 2, 4.0)
    assert (total.reused["hbm"], total.peak_bytes["hbm"]) == (6, 9.0)
    assert (one.computed, other.reused["hbm"]) == (3, 6)


ARRIVALS = {
    "open": {},
    "poisson": {"rate_per_s": 0.7},
    "gamma": {"rate_per_s": 2.0, "burstiness": 0.3},
    "closed": {"max_open_sessions": 3, "session_starts": "poisson", "sessions_per_s": 0.3},
}


@st.composite
def columns(draw):
    """Rows of (arrival, prompt, output, session, think time), and which sessions spawn which."""
    row = st.tuples(
        st.floats(0, 50, allow_nan=False),
        st.integers(1, 900),
        st.integers(0, 90),
        st.integers(0, 5),
        st.sampled_from([NAN, 0.0, 3.0]),
    )
    rows = sorted(draw(st.lists(row, min_size=1, max_size=25)), key=lambda r: r[0])
    at, prompt, output, session, think_s = (list(c) for c in zip(*rows, strict=True))
    session = np.unique(session, return_inverse=True)[1]
    first = [int(np.flatnonzero(session == s)[0]) for s in range(session.max() + 1)]
    parent = [-1] * len(rows)
    for row in first[1:]:
        earlier = np.flatnonzero(session < session[row]).tolist()
        parent[row] = draw(st.sampled_from([-1, *earlier]))
    return at, prompt, output, session.tolist(), think_s, parent


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    columns(),
    st.sampled_from(list(ARRIVALS)),
    st.sampled_from(list(ROUTERS)),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.tuples(st.integers(1, 4), st.integers(4, 120), st.integers(1, 6), st.integers(1, 500)),
    st.booleans(),
)
def test_any_scenario_obeys_the_laws_on_each_replica(
    trace, served, rows, arrivals, routing, share, sizes, asynchronous
):
    at, prompt, output, session, think_s, parent = rows
    ids = [[s * 1000 + i for i in range(n // 32)] for s, n in zip(session, prompt, strict=True)]
    made = trace(at, prompt, output, session, think_s, parent, 32, ids)
    replicas, blocks, seqs, budget = sizes
    run = served(
        made,
        token_s=0.001,
        arrivals=arrivals,
        design="vllm",
        workload={**ARRIVALS[arrivals], "reuse_output": share},
        replicas=replicas,
        routing=routing,
        blocks=blocks,
        max_num_seqs=seqs,
        max_num_batched_tokens=budget,
        async_scheduling=asynchronous,
    )
    r, count = run.requests, census(run.requests)
    assert (count.arrived, count.in_flight) == (len(made), 0)
    done = r.status == DONE
    assert (done | (r.status == REJECTED)).all()
    assert ((r.replica >= 0) == done).all()
    assert (r.replica < replicas).all()
    assert (r.generated[done] == r.output_tokens[done]).all()
    assert run.ledger.computed + r.reused.sum() == r.input_tokens[done].sum()
    assert (r.scheduled_s[done] >= r.arrival_s[done]).all()
    assert (r.first_token_s[done] > r.scheduled_s[done]).all()
    assert all(cache.free == cache.size for cache in run.caches)
    steps = run.record.columns()
    assert (steps["decodes"] + steps["prefill_tokens"] <= budget).all()
    assert steps["kv_bytes"].max(initial=0) <= run.parts.pool.capacity_bytes


def test_nobody_is_scheduled_before_it_arrives(trace, served):
    """1.13 + (9.58837269416278 - 1.13) is less than 9.58837269416278."""
    made = trace([0.0, 0.0, 0.0, 1.13, 9.58837269416278], [1] * 5, [1] * 5)
    r = served(made, token_s=0.001, max_num_seqs=1, max_num_batched_tokens=1).requests
    assert (r.scheduled_s >= r.arrival_s).all()


@pytest.mark.parametrize("routing", ROUTERS)
def test_equal_runs_are_equal(trace, served, routing):
    rng = np.random.default_rng(8)
    n = 60
    session = np.unique(rng.integers(0, 20, n), return_inverse=True)[1].tolist()
    requests = trace(
        np.sort(rng.uniform(0, 30, n)).tolist(),
        rng.integers(1, 200, n).tolist(),
        rng.integers(1, 60, n).tolist(),
        session,
        rng.uniform(0, 3, n).tolist(),
    )
    runs = [
        served(requests, arrivals="closed", replicas=3, routing=routing, blocks=60)
        for _ in range(2)
    ]
    for name, column in vars(runs[0].requests).items():
        np.testing.assert_array_equal(column, getattr(runs[1].requests, name), err_msg=name)
    one, two = (run.record.columns() for run in runs)
    for name, column in one.items():
        np.testing.assert_array_equal(column, two[name])


@pytest.mark.parametrize("arrivals", ["open", "closed"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("routing", ROUTERS)
def test_macro_steps_change_no_time_and_no_choice(
    trace, served, routing, asynchronous, arrivals, monkeypatch
):
    rng = np.random.default_rng(21)
    n = 80
    session = np.unique(rng.integers(0, 25, n), return_inverse=True)[1]
    prompt = 32 * rng.integers(1, 12, n)
    requests = trace(
        np.sort(rng.uniform(0, 200, n)).tolist(),
        prompt.tolist(),
        rng.integers(1, 150, n).tolist(),
        session.tolist(),
        rng.uniform(0, 30, n).tolist(),
        block_tokens=32,
        ids=[[s * 100 + i for i in range(p // 32)] for s, p in zip(session, prompt, strict=True)],
    )

    limits = {"max_open_sessions": 12} if arrivals == "closed" else {}

    def run():
        return served(
            requests,
            step_s=0.37,
            token_s=0.0011,
            arrivals=arrivals,
            design="vllm",
            workload={"reuse_output": 0.5, **limits},
            replicas=3,
            routing=routing,
            async_scheduling=asynchronous,
            max_num_seqs=3,
        )

    macro = run()
    monkeypatch.setattr(new.state, "MOST_STEPS", 1)
    single = run()
    assert len(single.record.columns()["steps"]) > 3 * len(macro.record.columns()["steps"])
    np.testing.assert_array_equal(single.requests.replica, macro.requests.replica)
    np.testing.assert_array_equal(single.requests.reused, macro.requests.reused)
    for name in ("arrival_s", "scheduled_s", "first_token_s", "last_token_s"):
        one, many = getattr(single.requests, name), getattr(macro.requests, name)
        np.testing.assert_allclose(many, one, rtol=1e-9, err_msg=name)
        np.testing.assert_array_equal(
            np.argsort(one, kind="stable"), np.argsort(many, kind="stable"), err_msg=name
        )
