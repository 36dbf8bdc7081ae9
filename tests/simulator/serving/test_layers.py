"""Fidelity `step` against `layer`, where replicas contend for links and memory."""

import numpy as np
import pytest

from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.requests import DONE
from tierlab.simulator.serving.run import simulate

SYSTEM = """
kind = "system"
name = "two-on-one-link"
summary = "two H200 behind one switch: they share its link to the host"

[nodes.gpu]
device = "h200"
count = 2

[nodes.host]
device = "ddr5-server"

[nodes.nvswitch]
device = "nvswitch"

[[links]]
link = "pcie4-x16"
between = ["host", "nvswitch"]

[[links]]
link = "nvlink4"
between = ["nvswitch", "gpu"]
"""


@pytest.fixture(scope="module")
def shared_link(tmp_path_factory):
    path = tmp_path_factory.mktemp("systems") / "two-on-one-link.toml"
    path.write_text(SYSTEM, encoding="utf-8")
    return str(path)


def latencies(fidelity, hardware, tiers, **workload):
    data = {
        "model": "Llama-3.1-8B",
        "hardware": hardware,
        "design": "vllm",
        "engine": {
            "replicas": 2,
            "routing": "session_sticky",
            "gpu_memory_utilization": 0.16,
            "fidelity": fidelity,
        },
        "workload": {
            "generator": "agentic",
            "parameters": {"sessions": 8, "turns_p50": 15, **workload.pop("parameters", {})},
            "arrivals": "closed",
            "session_starts": "poisson",
            "sessions_per_s": 1.0,
            **workload,
        },
        "tiers": {"dram": {"capacity": "64 GiB", **tiers.pop("dram", {})}, **tiers},
    }
    run = simulate(validate(data, "test"))
    r, done = run.requests, run.requests.status == DONE
    return run, (r.first_token_s - r.arrival_s)[done], (r.last_token_s - r.arrival_s)[done]


CASES = {
    "loads during prefill": {"load": "request_async"},
    "layerwise loads": {"load": "layerwise"},
    "everybody waits": {"load": "blocking"},
    "written through under eviction": {"load": "layerwise", "dram": {"capacity": "8 GiB"}},
    "written back": {"load": "layerwise", "dram": {"write": "back"}},
    "stores that block": {"load": "blocking", "store": "blocking"},
    "copied by kernels": {"load": "layerwise", "dram": {"mechanism": "kernel"}},
}


@pytest.mark.parametrize("tiers", CASES.values(), ids=CASES)
def test_both_fidelities_agree(shared_link, tiers):
    found = [latencies(f, shared_link, {**tiers}) for f in ("step", "layer")]
    (one, *step), (two, *layer) = found
    assert one.ledger.reused["dram"] == two.ledger.reused["dram"] > 0
    for a, b in zip(step, layer, strict=True):
        assert a.mean() == pytest.approx(b.mean(), rel=0.02)
        assert np.quantile(a, 0.99) == pytest.approx(np.quantile(b, 0.99), rel=0.05)
    assert step[0].tolist() != layer[0].tolist()
