"""A run says what its times rest on, and how wide their band is."""

import json

import pytest

from tierlab.hwmodels.time.times import ROOFLINE
from tierlab.kernels.base.errors import BadInput
from tierlab.policies.design import preset_names
from tierlab.simulator.cli.time_rows import time_rows
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.planning import plan
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.run import simulate


def scenario(
    model=None, hardware="H200", design="vllm", weights="bf16", served="Llama-3.1-8B", **workload
):
    parameters = {"requests": 30, "input_tokens": 700, "output_tokens": 20} | workload
    return validate(
        {
            "model": {"name": served, "weights": weights},
            "hardware": hardware,
            "design": design,
            "workload": {"generator": "poisson", "parameters": parameters},
            "time": {} if model is None else {"model": model},
        },
        "test",
    )


def told(**asked):
    return summarise(simulate(scenario(**asked)))["times"]


def shares(times):
    return {name: {k for k, v in times[name]["origins"].items() if v > 0.5} for name in STEPS}


STEPS = ("prefill", "decode")


def test_who_names_no_time_model_gets_what_was_measured():
    times = told()
    assert "silicon: measured on it" in times["model"]
    assert shares(times) == {"prefill": {"calibrated"}, "decode": {"calibrated"}}
    assert times["prefill"]["tokens"] == 700
    assert 700 < times["decode"]["context"] <= 720
    for name in STEPS:
        step = times[name]
        assert 0 < step["p10_s"] < step["seconds"] < step["p90_s"]
        assert sum(step["origins"].values()) == pytest.approx(1.0)
        assert step["p90_s"] / step["p10_s"] < 1.2


def test_a_gpu_that_nobody_measured_is_said_to_be_predicted_from_its_datasheet():
    times = told(hardware="A6000")
    assert "its datasheet, constants of other GPUs" in times["model"]
    assert shares(times) == {"prefill": {"datasheet"}, "decode": {"datasheet"}}


def test_the_roofline_is_said():
    times = told(model="roofline")
    assert times["model"].endswith("roofline")
    assert shares(times) == {"prefill": {ROOFLINE}, "decode": {ROOFLINE}}
    assert times["decode"]["p90_s"] / times["decode"]["p10_s"] > 1.3


@pytest.mark.parametrize(("weights", "origin"), [("int4", "datasheet"), ("nvfp4", ROOFLINE)])
def test_products_that_were_not_measured_here_are_said_to_be_others(weights, origin):
    """Stored 4-bit weights were measured on another GPU; this one has no 4-bit arithmetic."""
    found = plan(scenario(weights=weights), 700, 8)["decode"]["origins"]
    assert found[origin] > 0.3
    assert found["calibrated"] > 0.1


def test_how_experts_are_chosen_is_told_where_there_are_any():
    of_experts = {"served": "Qwen3-30B-A3B", "model": "roofline"}
    assert told(**of_experts)["expert_routing"] == 1.0
    assert plan(scenario(**of_experts), 700, 8)["expert_routing"] == 1.0
    row = ("  experts chosen", "uniform (assumed)")
    assert row in time_rows(told(**of_experts))
    assert told(model="roofline")["expert_routing"] is None
    assert row not in time_rows(told(model="roofline"))


def test_a_routing_of_experts_that_are_not_there_is_refused():
    of_none = {"model": {"name": "Llama-3.1-8B", "expert_routing": "even"}, "hardware": "H200"}
    made = validate(of_none | {"workload": {"generator": "poisson"}}, "test")
    with pytest.raises(BadInput, match="even is meant for experts, and Llama-3.1-8B has none"):
        build(made)


def test_no_requests_no_steps(tmp_path):
    log = tmp_path / "none.csv"
    log.write_text("arrival_s,input_tokens,output_tokens\n0,900000,4\n")
    made = validate(
        {"model": "Llama-3.1-8B", "hardware": "H200", "workload": {"trace": str(log)}}, "test"
    )
    found = summarise(simulate(made))
    assert found["completed"] == 0
    json.dumps(found["times"], allow_nan=False)


@pytest.mark.parametrize("hardware", ["H200", "A6000"])
@pytest.mark.parametrize("design", sorted(preset_names()))
def test_every_design_has_a_time_and_a_band(design, hardware):
    found = plan(scenario(hardware=hardware, design=design), 6000, 4)
    for name in STEPS:
        assert 0 < found[name]["p10_s"] < found[name]["seconds"] < found[name]["p90_s"] < 100


def test_people_read_it(cli):
    keys = ("workload.parameters.requests=5", "engine.max_model_len=4096")
    path = "s.toml"
    with open(path, "w") as file:
        file.write('model = "SmolLM2-135M"\nhardware = "H100"\nworkload.generator = "poisson"\n')
    status, out, err = cli("run", path, *(a for key in keys for a in ("--set", key)))
    assert status == 0, err
    assert "H100, silicon: measured on it" in out
    assert "calibrated 9" in out
    assert "band -" in out
