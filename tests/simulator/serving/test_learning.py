"""When a clock learns a time must not show in what is done."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.registry import time_model
from tierlab.kernels.models.load import load_model
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.axis import below
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.clocks import OpTimes
from tierlab.simulator.serving.decodetable import PER_PART
from tierlab.simulator.serving.densetable import DenseTable
from tierlab.simulator.serving.replica import Replica
from tierlab.simulator.serving.run import simulate
from tierlab.simulator.serving.steptime import StepTimer
from tierlab.simulator.serving.tiering import Tiering
from tierlab.simulator.serving.timers import alike, step_timer

SCENARIO = {
    "model": "Llama-3.1-8B",
    "hardware": "h200-tiered",
    "design": "vllm",
    "workload": {"generator": "agentic", "parameters": {"sessions": 8, "sessions_per_s": 4.0}},
    "engine": {"num_gpu_blocks": 16000},
    "tiers": {"dram": {"capacity": "2 GB"}, "cxl": {"capacity": "1 TB", "write": "back"}},
}


def test_tiers_do_nothing_because_a_time_was_not_known(monkeypatch):
    """Copies that wait for the end of a batch's plan would go before it, with its first table."""
    happened = []
    run, learn, collect = Replica._run, OpTimes.learn, Tiering.collect

    def noted(name, act):
        def wrapped(*given):
            happened.append(name)
            return act(*given)

        return wrapped

    monkeypatch.setattr(Replica, "_run", noted("runs", run))
    monkeypatch.setattr(OpTimes, "learn", noted("learns", learn))
    monkeypatch.setattr(Tiering, "collect", noted("collects", collect))
    alike.cache_clear()
    simulate(validate(SCENARIO, "test"))
    after = [happened[i + 1] for i, name in enumerate(happened) if name == "learns"]
    assert len(after) > 3
    assert set(after) == {"runs"}


@pytest.fixture(scope="module", params=["roofline", "silicon"])
def tables(request):
    """Return what makes the tables of one replica, none of them filled in."""
    system, model = load_system("H200", "test"), load_model("Llama-3.1-8B")
    times = time_model(request.param, system.gpu, None, "test")
    return lambda: StepTimer(model, "bf16", "bf16", 1, times, 20_000, 2048, sequences=70)


@pytest.mark.parametrize("name", ["dense", "decodes", "chunks"])
def test_tables_are_the_same_to_the_last_bit_in_whatever_order_they_fill(tables, name):
    """Rows are predicted beside others, and ends of parts twice."""
    up, down = (getattr(tables(), name) for _ in range(2))
    places = range(up.known.size)
    for place in places:
        if not up.known.flat[place]:
            up.learn(place)
    for place in reversed(places):
        if not down.known.flat[place]:
            down.learn(place)
    assert up.known.all()
    assert up.seconds.tobytes() == down.seconds.tobytes()
    assert np.isfinite(up.seconds).all()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 63, 64, 1023, 1024, 1025, 4096, 19_999])
def test_what_is_needed_is_filled_in_wherever_it_lies(tables, length):
    """The table says the same where all of it is known."""
    lone, kv_len = tables(), np.array([length, length + 40 * (length % 2)])
    found = lone.decode(kv_len, 500).seconds
    whole = tables()
    for place in range(whole.decodes.known.size):
        whole.decodes.learn(place)
    assert found.tolist() == whole.decode(kv_len, 500).seconds.tolist()
    steps = (kv_len.sum() / len(kv_len) + np.arange(500)).tolist()
    parts = {(below(lone.keys, keys) + 1) // PER_PART for keys in steps}
    assert lone.decodes.known.sum() == len(parts)


@pytest.mark.parametrize("captured", [0, 600])
def test_token_counts_are_predicted_or_lie_between_two_of_their_kind(captured):
    """Steps of 64 rows, odd rows slower: the table says what is asked. Small counts step at will."""

    def predict(counts):
        asked.append(len(counts))
        tiles = np.ceil(counts / 64)
        small = np.where(counts <= max(captured, 512), np.sin(counts), 0.0)
        return np.stack([tiles + 1e-3 * counts + 5.0 * (counts % 8 > 0) + small, tiles, -tiles])

    asked = []
    table = DenseTable(2048, captured, predict)
    found = np.stack([table.at(tokens) for tokens in range(1, 2049)], axis=1)
    assert sum(asked) == (1024 + 128 if captured else 512 + 192)
    np.testing.assert_allclose(found, predict(np.arange(1, 2049)), rtol=1e-12)


def timer_of(**changed):
    made = validate({**SCENARIO, "hardware": "H200", "tiers": {}, **changed}, "test")
    return step_timer(made, build(made))


def test_runs_that_ask_for_the_same_times_share_them():
    """Load, tiers and the seed are not among what times depend on."""
    one = timer_of()
    assert timer_of() is one
    assert timer_of(seed=7, workload={"generator": "poisson"}) is one
    assert timer_of(time={"model": "roofline"}) is timer_of(time={"model": "roofline"})


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "Qwen3-8B"},
        {"model": {"name": "Llama-3.1-8B", "weights": "fp8"}},
        {"hardware": "H100"},
        {"design": "vllm-fp8-kv"},
        {"engine": {"max_num_seqs": 100}},
        {"engine": {"max_num_batched_tokens": 4096}},
        {"engine": {"cudagraph_mode": "none"}},
        {"engine": {"sampling": "top_k_top_p"}},
        {"engine": {"async_scheduling": False}},
        {"time": {"model": "roofline"}},
        {"time": {"band": "p90"}},
        {"time": {"ragged": False}},
        {"time": {"host": {"step_s": 0.5}}},
    ],
    ids=str,
)
def test_what_times_depend_on_tells_them_apart(changed):
    assert timer_of(**changed) is not timer_of()


def test_who_filled_a_table_in_does_not_show():
    """A run after others of another load is the run alone, to the last bit."""
    lengths = {"input_tokens": 900, "output_tokens": 60, "requests": 60}
    loads = [
        {"generator": "poisson", "parameters": {**lengths, "requests_per_s": rate}}
        for rate in (2.0, 40.0, 9.0)
    ]
    scenarios = [validate({**SCENARIO, "workload": load, "tiers": {}}, "test") for load in loads]
    alone = []
    for scenario in scenarios:
        alike.cache_clear()
        alone.append(simulate(scenario))
    after = [simulate(scenario) for scenario in scenarios]
    for one, other in zip(alone, after, strict=True):
        assert one.simulated_s == other.simulated_s
        assert one.requests.last_token_s.tobytes() == other.requests.last_token_s.tobytes()
