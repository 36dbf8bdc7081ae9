"""When a clock learns a time must not show in what is done."""

from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.clocks import OpTimes
from tierlab.simulator.serving.replica import Replica
from tierlab.simulator.serving.run import simulate
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
