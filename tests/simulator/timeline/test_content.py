"""What a timeline says is what the run's own tables and ledgers say."""

import itertools

import pytest

from tierlab.simulator.results.tables import requests_frame, steps_frame
from tierlab.simulator.serving.engine import state


@pytest.fixture
def crowd(trace):
    """Return requests that do not fit the pool of 11 blocks together."""
    return trace([0.0, 0.0, 1.5, 2.0], [40, 56, 64, 30], [60, 80, 20, 5])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_step_of_each_macro_step_is_a_slice(crowd, watched, asynchronous):
    seen = watched(crowd, async_scheduling=asynchronous)
    steps, slices = steps_frame(seen.run), seen.of("X", cat="step")
    assert steps["steps"].max() > 5
    assert len(slices) == steps["steps"].sum()
    for name, column in (("decode_tokens", "decodes"), ("prefill_tokens", "prefill_tokens")):
        total = (steps[column] * steps["steps"]).sum()
        assert sum(each["args"][name] for each in slices) == total
    starts = {round(at * 1e9) for at in steps["start_s"]}
    ends = {round(at * 1e9) for at in steps["end_s"]}
    assert starts <= {round(each["ts"] * 1000) for each in slices}
    assert ends <= {round((each["ts"] + each["dur"]) * 1000) for each in slices}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("blocks", [12, 16, 100])
def test_macro_steps_are_drawn_as_if_each_step_stood_alone(
    crowd, watched, monkeypatch, asynchronous, blocks
):
    keys = {"async_scheduling": asynchronous, "num_gpu_blocks": blocks}
    together = watched(crowd, name="a.json", **keys)
    monkeypatch.setattr(state, "MOST_STEPS", 1)
    apart = watched(crowd, name="b.json", **keys)
    assert (steps_frame(apart.run)["steps"] == 1).all()
    assert together.of("X") == apart.of("X")
    for counter in (("KV held on one GPU", "bytes"), ("requests", "running")):
        assert _changes(together.counter(*counter)) == _changes(apart.counter(*counter))


def local(row):
    return {"local": hex(row)}


def _changes(series):
    pairs = itertools.pairwise([(0, None), *series])
    return [now for before, now in pairs if now[1] != before[1]]


def test_kv_never_exceeds_the_pool_and_ends_at_nothing(crowd, watched):
    seen = watched(crowd)
    values = [value for _, value in seen.counter("KV held on one GPU", "bytes")]
    assert max(values) == seen.run.ledger.peak_bytes["hbm"]
    assert values[-1] == 0
    assert seen.counter("requests", "running")[-1][1] == 0


def test_phases_of_requests_are_their_times(crowd, watched):
    seen = watched(crowd)
    table = requests_frame(seen.run)
    assert table["preemptions"].sum() > 0
    for row in table.iter_rows(named=True):
        mine = [e for e in seen.events if e["ph"] in "be" and e["id2"] == local(row["request"])]
        begins = [(e["name"], e["ts"]) for e in mine if e["ph"] == "b"]
        assert begins[0] == ("request", pytest.approx(row["arrival_s"] * 1e6, abs=1e-3))
        names = [name for name, _ in begins]
        assert names.count("preempted") == row["preemptions"]
        first = next(at for name, at in begins if name == "prefill")
        assert first == pytest.approx(row["scheduled_s"] * 1e6, abs=1e-3)
        token = next(e["ts"] for e in mine if (e["ph"], e["name"]) == ("e", "prefill"))
        assert token == pytest.approx(row["first_token_s"] * 1e6, abs=1e-3)
        assert mine[-1]["ts"] == pytest.approx(row["last_token_s"] * 1e6, abs=1e-3)
        assert mine[0]["args"]["preemptions"] == row["preemptions"]


def test_a_preempted_request_waits_recomputes_and_decodes_again(trace, watched):
    seen = watched(trace([0.0, 0.0], [64, 64], [60, 60]), num_gpu_blocks=12)
    names = [e["name"] for e in seen.of("b", id2=local(1))]
    assert names == ["request", "prefill", "decode", "preempted", "recompute", "decode"]


def test_a_request_that_can_never_run_is_refused(trace, watched):
    seen = watched(trace([0.0, 1.0], [64, 5000], [2, 2]), num_gpu_blocks=12)
    (refused,) = seen.of("i")
    assert (refused["name"], refused["ts"]) == ("refused: kv_capacity", 1e6)


@pytest.fixture
def tiered(trace, watched):
    """Return a run that stores, evicts, and loads what it stored."""
    ids = [list(range(10)), list(range(20, 30)), list(range(10))]
    again = trace([0.0, 5.0, 12.0], [160, 160, 160], [4, 4, 4], ids=ids, block_tokens=16)
    return watched(again, tiers={"dram": {"capacity": "1 GiB"}})


def test_bytes_of_copies_are_the_ledger(tiered):
    network = tiered.run.network
    sums: dict[tuple[str, str, str], float] = {}
    for copy in tiered.of("X", cat="copy"):
        for leg in copy["args"]["links"].split(", "):
            link, way = leg.rsplit(" ", 1)
            key = (link, way, copy["name"])
            sums[key] = sums.get(key, 0.0) + copy["args"]["bytes"]
    assert sums
    assert {cause for _, _, cause in sums} == {"hit", "write_through"}
    assert sums == pytest.approx({key: moved.bytes for key, moved in network.moved().items()})


def test_rates_of_links_integrate_to_the_ledger(tiered):
    sums: dict[tuple[str, str, str], float] = {}
    last: dict[str, tuple[float, dict[str, float]]] = {}
    for event in (e for e in tiered.of("C") if e["name"].endswith("B/s")):
        link, way, _ = event["name"].rsplit(" ", 2)
        since, rates = last.get(event["name"], (0.0, {}))
        for cause, rate in rates.items():
            more = rate * (event["ts"] - since) / 1e6
            sums[link, way, cause] = sums.get((link, way, cause), 0.0) + more
        last[event["name"]] = (event["ts"], event["args"])
    assert sums == pytest.approx({k: v.bytes for k, v in tiered.run.network.moved().items()})
    assert all(not any(rates.values()) for _, rates in last.values())


def test_tiers_hold_what_their_books_say(tiered):
    (tiering,) = tiered.run.tierings
    (dram,) = tiering.tiers.tiers
    held = [value for _, value in tiered.counter("dram holds", "bytes")]
    assert held[-1] == len(dram.store) * dram.spec.block_bytes
    assert max(held) == tiering.copier.flows["dram"].peak_bytes
    assert tiered.counter("dram hits so far", "tokens")[-1][1] == dram.counts.hit_tokens == 144


def test_a_load_is_a_phase(tiered):
    assert [e["name"] for e in tiered.of("b", id2=local(2))][:3] == [
        "request",
        "loading",
        "prefill",
    ]
