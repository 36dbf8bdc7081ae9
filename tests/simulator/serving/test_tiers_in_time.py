"""Tiers below HBM on known step times: what a hit costs, and that none is free.

The scene: a prompt A of 160 tokens (10 blocks), then B that takes its place in HBM, then A again,
which finds 9 blocks (its last is always computed) in DRAM.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlab.hwmodels.system import System
from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.requests import DONE
from tierlab.simulator.serving.run import serve

BLOCK = 16


@pytest.fixture
def tiered(served, known_times):
    """Serve a trace with tiers: `tiered(trace, {"dram": ...}, link=..., **engine)`."""

    def run(requests, tiers, link=None, hardware="h200-tiered", step_s=1.0, token_s=0.01, **engine):
        data = {
            "model": "SmolLM2-135M",
            "hardware": hardware,
            "design": "vllm",
            "workload": {"generator": "poisson"},
            "engine": {"max_model_len": 8192, "num_gpu_blocks": 12, "async_scheduling": False}
            | engine,
            "tiers": tiers,
            "time": {"host": "none"},
        }
        scenario = validate(data, "test")
        parts = build(scenario)
        times = known_times(step_s, token_s, len(parts.model.layers))
        return serve(
            scenario, replace(parts, times=times, system=linked(parts.system, link)), requests
        )

    return run


def linked(system: System, changes) -> System:
    """Return the system with all PCIe links to GPUs changed."""
    if not changes:
        return system
    edges = tuple(
        replace(edge, link=replace(edge.link, **changes)) if "gpu" in edge.name else edge
        for edge in system.edges
    )
    return replace(system, edges=edges, _routes={})


def ids(name, blocks=10):
    return [name * 1000 + i for i in range(blocks)]


def again(trace, between=1, gap_s=100.0):
    """Return A, `between` others, and A again."""
    names = [0, *range(1, between + 1), 0]
    at = [gap_s * i for i in range(len(names))]
    return trace(
        at, [160] * len(at), [2] * len(at), block_tokens=BLOCK, ids=[ids(n) for n in names]
    )


DRAM = {"dram": {"capacity": "1 GiB"}}
LOADED = 9 * BLOCK
FAST = {
    "raw_bytes_per_s": 1e18,
    "down_bytes_per_s": 1e18,
    "up_bytes_per_s": 1e18,
    "both_bytes_per_s": 2e18,
    "latency_s": 0.0,
    "issue_cost_s": 0.0,
}
SLOW = {
    "raw_bytes_per_s": 1.0,
    "down_bytes_per_s": 1.0,
    "up_bytes_per_s": 1.0,
    "both_bytes_per_s": 2.0,
}


def ttft(run):
    return run.requests.first_token_s - run.requests.arrival_s


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("load", ["request_async", "layerwise", "blocking"])
def test_a_block_that_left_hbm_is_found_below(trace, tiered, load, asynchronous):
    run = tiered(again(trace), DRAM | {"load": load}, async_scheduling=asynchronous)
    assert run.requests.reused.tolist() == [0, 0, LOADED]
    assert run.ledger.reused["dram"] == LOADED
    assert run.ledger.computed == 160 + 160 + BLOCK
    assert (run.requests.status == DONE).all()


def test_without_a_tier_it_is_computed(trace, tiered):
    run = tiered(again(trace), {})
    assert run.requests.reused.tolist() == [0, 0, 0]
    assert run.network is None


@pytest.mark.parametrize("load", ["request_async", "layerwise", "blocking"])
def test_an_infinitely_fast_tier_saves_exactly_the_compute(trace, tiered, load):
    """Only the host's DRAM is left to wait for: under a microsecond here."""
    without, fast = tiered(again(trace), {}), tiered(again(trace), DRAM | {"load": load}, FAST)
    saved = ttft(without)[2] - ttft(fast)[2]
    assert saved == pytest.approx(LOADED * 0.01, abs=1e-3 if load != "layerwise" else 0.05)
    np.testing.assert_allclose(ttft(fast)[:2], ttft(without)[:2], rtol=1e-9)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("fidelity", ["step", "layer"])
def test_a_blocking_store_ends_its_step(trace, tiered, fidelity, asynchronous):
    """The first token comes once the prompt has left HBM: 4 s later; outputs take no longer."""
    link = slow_by(TOKEN_BYTES, 4.0 * LOADED / 160)
    engine = {"fidelity": fidelity, "async_scheduling": asynchronous}
    free = tiered(again(trace), DRAM, link, **engine)
    held = tiered(again(trace), DRAM | {"store": "blocking"}, link, **engine)
    later = ttft(held)[:2] - ttft(free)[:2]
    assert later == pytest.approx([4.0, 4.0], rel=1e-3)
    outputs = [r.last_token_s - r.first_token_s for r in (free.requests, held.requests)]
    np.testing.assert_allclose(*outputs, rtol=1e-6)
    assert held.ledger.reused["dram"] == LOADED
    ours, theirs = (summarise(run)["tiers"]["dram"]["bytes_written"] for run in (held, free))
    assert ours == theirs > 0


def test_others_wait_for_a_blocking_store(trace, tiered):
    """B decodes in steps of 1 s; A's prompt joins one of them, which lasts 4 s longer."""
    link = slow_by(TOKEN_BYTES, 4.0 * LOADED / 160)
    requests = trace([0.0, 5.0], [16, 160], [20, 2], block_tokens=BLOCK, ids=[ids(1, 1), ids(0)])
    runs = [
        tiered(requests, DRAM | {"store": how}, link, num_gpu_blocks=40)
        for how in ("async", "blocking")
    ]
    ends = [run.requests.last_token_s[0] for run in runs]
    assert ends[1] - ends[0] == pytest.approx(4.0 + 0.4, rel=1e-3)  # and its own block's 0.4 s
    longest = [run.record.token_gaps()[0].max() for run in runs]
    assert longest[1] - longest[0] == pytest.approx(4.0, rel=1e-3)


@pytest.mark.parametrize("load", ["request_async", "layerwise", "blocking"])
def test_with_an_infinitely_slow_tier_a_load_does_not_end(trace, tiered, load):
    run = tiered(again(trace), DRAM | {"load": load}, SLOW)
    nbytes = LOADED * run.tierings[0].tiers.tiers[0].spec.token_bytes
    assert ttft(run)[2] > nbytes, "one byte a second"


def test_with_an_infinitely_slow_tier_the_cheaper_is_to_compute(trace, tiered):
    computed = tiered(again(trace), DRAM | {"loading": "always_recompute"}, SLOW)
    cheaper = tiered(again(trace), DRAM | {"loading": "cheaper"}, SLOW)
    for name in ("scheduled_s", "first_token_s", "last_token_s", "reused"):
        one, two = getattr(computed.requests, name), getattr(cheaper.requests, name)
        np.testing.assert_array_equal(one, two, err_msg=name)
    assert cheaper.ledger.reused["dram"] == 0


def test_a_load_lasts_what_the_network_says(trace, tiered):
    """Its request waits, prefills one block and emits: load + 16 x 0.01 + 1 s."""
    run = tiered(again(trace), DRAM)
    records = run.network.records.columns()
    (hit,) = np.flatnonzero(records["cause"] == "hit")
    lasted = records["end_s"][hit] - records["queued_s"][hit]
    assert lasted > 0
    assert ttft(run)[2] == pytest.approx(lasted + BLOCK * 0.01 + 1.0, rel=1e-6)


def slow_by(token_bytes, seconds):
    """Return a link over which the load of the scene takes so long."""
    rate = LOADED * token_bytes / seconds
    return {
        "raw_bytes_per_s": rate,
        "down_bytes_per_s": rate,
        "up_bytes_per_s": rate,
        "both_bytes_per_s": 2 * rate,
    }


TOKEN_BYTES = 2 * 3 * 64 * 30 * 2.0
"""SmolLM2-135M: keys and values, 3 heads of 64, 30 layers, two bytes."""


@pytest.mark.parametrize(("load", "waits"), [("request_async", False), ("blocking", True)])
def test_others_run_on_unless_everybody_waits(trace, tiered, load, waits):
    """A load of 35 s or more; a request that comes 5 s into it takes 1.1 s alone."""
    at = [0.0, 100.0, 400.0, 405.0]
    requests = trace(
        at, [160, 160, 160, 10], [2, 2, 2, 1], block_tokens=BLOCK, ids=[ids(0), ids(1), ids(0), []]
    )
    run = tiered(requests, DRAM | {"load": load}, slow_by(TOKEN_BYTES, 50.0), num_gpu_blocks=14)
    assert ttft(run)[2] > 35.0
    assert bool(ttft(run)[3] > 25.0) is waits
    assert bool(ttft(run)[3] < 3.0) is not waits


def test_a_layer_loads_under_the_one_before(trace, tiered):
    """A load of 3 s under a step of 1.16 s: the last layer computes after it has come."""
    link = slow_by(TOKEN_BYTES, 3.0)
    run = tiered(again(trace), DRAM | {"load": "layerwise"}, link)
    step_s, layers = BLOCK * 0.01 + 1.0, 30
    assert ttft(run)[2] == pytest.approx(3.0 + step_s / layers, rel=1e-3)
    short = tiered(again(trace), DRAM | {"load": "layerwise"}, slow_by(TOKEN_BYTES, 0.3))
    assert ttft(short)[2] == pytest.approx(0.3 / layers + step_s, rel=1e-3)


@pytest.mark.parametrize("ranks", [1, 3])
def test_bytes_on_links_are_those_of_the_tiers(trace, tiered, ranks):
    hardware = "8xH200" if ranks > 1 else "h200-tiered"
    run = tiered(again(trace, 3), DRAM, hardware=hardware, tensor_parallel_size=ranks)
    found = summarise(run)
    link = found["links"]["pcie5-x16"]
    up_and_down = {way: sum(c[way] for c in link["by_cause"].values()) for way in ("down", "up")}
    assert up_and_down["down"] == pytest.approx(found["tiers"]["dram"]["bytes_read"])
    assert up_and_down["up"] == pytest.approx(found["tiers"]["dram"]["bytes_written"])
    assert found["tiers"]["hbm"]["bytes_written"] == pytest.approx(
        found["tiers"]["dram"]["bytes_read"]
    )
    assert found["tiers"]["dram"]["bytes_read"] == pytest.approx(LOADED * token_bytes(run))
    assert link["bytes"] == pytest.approx(sum(up_and_down.values()))
    run.network.check()


def token_bytes(run):
    return run.tierings[0].tiers.tiers[0].spec.token_bytes


def test_prompt_tokens_are_computed_or_reused_from_somewhere(trace, tiered):
    run = tiered(again(trace, 4), DRAM)
    reused = sum(run.ledger.reused.values())
    assert run.ledger.computed + reused == run.requests.input_tokens.sum()


@pytest.mark.parametrize(("uses", "found"), [(1, LOADED), (2, 0)])
def test_a_store_threshold_keeps_one_shot_prompts_out(trace, tiered, uses, found):
    tiers = {"dram": {"capacity": "1 GiB", "store_after_uses": uses}}
    assert tiered(again(trace), tiers).ledger.reused["dram"] == found


def test_what_is_written_back_comes_when_hbm_evicts_it(trace, tiered):
    run = tiered(again(trace), {"dram": {"capacity": "1 GiB", "write": "back"}})
    causes = summarise(run)["links"]["pcie5-x16"]["by_cause"]
    assert set(causes) == {"write_back", "hit"}
    assert run.ledger.reused["dram"] > 0


def test_a_tier_smaller_than_hbm_holds_what_hbm_holds(trace, tiered):
    """LRU over the same requests: 5 blocks of DRAM never have what 11 of HBM lost."""
    nbytes = 5 * BLOCK * TOKEN_BYTES
    run = tiered(again(trace), {"dram": {"capacity": nbytes}})
    assert run.ledger.reused["dram"] == 0
    assert summarise(run)["tiers"]["dram"]["peak_bytes"] <= nbytes


def test_an_ssd_serves_what_dram_lost(trace, tiered):
    small = 12 * BLOCK * TOKEN_BYTES
    tiers = {"dram": {"capacity": small}, "ssd": {"capacity": "1 GiB"}}
    run = tiered(again(trace, 4), tiers)
    assert run.ledger.reused["ssd"] == LOADED
    assert run.ledger.reused["dram"] == 0


@pytest.mark.parametrize(("shared", "found"), [(True, LOADED), (False, 0)])
def test_a_shared_tier_holds_what_another_replica_stored(trace, tiered, shared, found):
    """Round robin: A goes to the first replica, and A again to the second."""
    requests = trace([0.0, 100.0], [160, 160], [2, 2], block_tokens=BLOCK, ids=[ids(0), ids(0)])
    tiers = {"dram": {"capacity": "1 GiB", "shared": shared}}
    run = tiered(requests, tiers, hardware="8xH200", replicas=2)
    assert run.requests.replica.tolist() == [0, 1]
    assert run.ledger.reused["dram"] == found


def test_blocks_are_kept_until_they_are_stored(trace, tiered):
    """The copy of A takes 50 s; B, which needs A's blocks, cannot begin before."""
    requests = trace([0.0, 5.0], [160, 160], [2, 2], block_tokens=BLOCK, ids=[ids(0), ids(1)])
    link = slow_by(TOKEN_BYTES, 50.0)
    free, kept = tiered(requests, {}, link), tiered(requests, DRAM, link)
    assert free.requests.scheduled_s[1] == pytest.approx(5.0)
    assert kept.requests.scheduled_s[1] > 50.0


PREFETCH = {"dram": {"capacity": 12 * BLOCK * TOKEN_BYTES}, "ssd": {"capacity": "1 GiB"}}


@pytest.mark.parametrize(("policy", "tier"), [("none", "ssd"), ("wait_complete", "dram")])
def test_a_prefetch_brings_blocks_up_before_they_are_loaded(trace, tiered, policy, tier):
    prefetch = {"policy": policy, "threshold_tokens": 16}
    run = tiered(again(trace, 4), PREFETCH | {"prefetch": prefetch})
    assert run.ledger.reused[tier] == LOADED
    assert ("prefetch" in summarise(run)["links"]["pcie5-x4"]["by_cause"]) is (policy != "none")


def test_a_prefetch_that_takes_too_long_is_given_up(trace, tiered):
    prefetch = {"policy": "timeout", "base_s": 1e-6, "per_1024_s": 0.0, "threshold_tokens": 16}
    run = tiered(again(trace, 4), PREFETCH | {"prefetch": prefetch})
    assert (run.requests.status == DONE).all()
    assert run.ledger.reused["dram"] == 0


def test_equal_runs_are_equal(trace, tiered):
    one, two = (tiered(again(trace, 4), PREFETCH | {"load": "layerwise"}) for _ in range(2))
    for name in ("first_token_s", "last_token_s", "reused"):
        np.testing.assert_array_equal(getattr(one.requests, name), getattr(two.requests, name))


@pytest.mark.parametrize(
    ("tiers", "hardware", "named"),
    [
        ({"ssd": {"capacity": "1 GiB"}}, "H200", "no ssd"),
        ({"dram": {"capacity": "900 TiB"}}, "h200-tiered", "at most"),
        ({"dram": {"capacity": "1 GiB", "device": "nowhere"}}, "h200-tiered", "no nowhere"),
        ({"remote": {"capacity": "1 GiB"}}, "h200-tiered", "no remote"),
    ],
)
def test_a_tier_without_a_place_is_refused(trace, tiered, tiers, hardware, named):
    with pytest.raises(BadInput, match=named):
        tiered(again(trace), tiers, hardware=hardware)


LONE = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@LONE
@given(st.floats(1e3, 1e12), st.floats(1.0, 100.0), st.sampled_from(["request_async", "layerwise"]))
def test_a_lone_request_is_never_slower_with_a_faster_link(trace, tiered, rate, factor, load):
    def last(bandwidth):
        link = dict.fromkeys(("raw_bytes_per_s", "down_bytes_per_s", "up_bytes_per_s"), bandwidth)
        link["both_bytes_per_s"] = 2 * bandwidth
        return ttft(tiered(again(trace, gap_s=1e7), DRAM | {"load": load}, link))[-1]

    assert last(rate * factor) <= last(rate) * (1 + 1e-9)


@LONE
@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 5))
def test_a_lone_request_is_never_slower_with_a_larger_tier(trace, tiered, blocks, more, between):
    def last(number):
        tiers = {"dram": {"capacity": number * BLOCK * TOKEN_BYTES}}
        return ttft(tiered(again(trace, between), tiers))[-1]

    assert last(blocks + more) <= last(blocks) * (1 + 1e-9)


@LONE
@given(st.floats(0.0, 1e-2), st.floats(0.0, 1.0), st.sampled_from(["loop", "batched", "kernel"]))
def test_a_lone_request_is_never_slower_with_a_smaller_issue_cost(
    trace, tiered, cost, share, mechanism
):
    def last(issue_cost_s):
        tiers = {"dram": {"capacity": "1 GiB", "mechanism": mechanism}}
        return ttft(tiered(again(trace), tiers, {"issue_cost_s": issue_cost_s}))[-1]

    assert last(cost * share) <= last(cost) * (1 + 1e-9)


@LONE
@given(st.lists(st.integers(0, 6), min_size=2, max_size=14), st.integers(1, 80), st.integers(0, 80))
def test_an_inclusive_lru_hierarchy_never_hits_less_when_it_grows(
    trace, tiered, names, blocks, more
):
    """One request at a time: under load, what runs beside it changes too."""
    at = [100.0 * i for i in range(len(names))]
    requests = trace(
        at, [160] * len(at), [2] * len(at), block_tokens=BLOCK, ids=[ids(n) for n in names]
    )

    def hits(number):
        tiers = {"dram": {"capacity": max(number, 11) * BLOCK * TOKEN_BYTES}}
        return sum(tiered(requests, tiers).ledger.reused.values())

    assert hits(blocks + more) >= hits(blocks)
