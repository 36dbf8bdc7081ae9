"""When a clock learns a time must not show in what is done."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.registry import time_model
from tierlab.kernels.models.load import load_model
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.clocks import OpTimes
from tierlab.simulator.serving.densetable import DenseTable
from tierlab.simulator.serving.replica import Replica
from tierlab.simulator.serving.run import simulate
from tierlab.simulator.serving.steptime import StepTimer
from tierlab.simulator.serving.tiering import Tiering

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
    assert 1 <= lone.decodes.known.sum() <= 4


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
