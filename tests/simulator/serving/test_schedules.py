"""Plans and served runs whose attention a schedule answers: 8 heads an A100, no grouping."""

import numpy as np
import pytest

from tierlab.hwmodels.time.times import SCHEDULE, launched
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.kernels.ops.table import Work
from tierlab.policies.design import preset_names
from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.planning import plan
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.run import simulate
from tierlab.simulator.serving.timers import step_timer

CONTEXT = 32768
LLAMA2 = {"model": "Llama-2-7B", "hardware": "4xA100-80G"}
EIGHT_HEADS = {"tensor_parallel_size": 4, "max_model_len": CONTEXT}


def scenario(decode=None, prefill=None, band="mid", design="baseline", engine=None, **changed):
    time = {"band": band}
    for key, name in (("prefill_schedule", prefill), ("decode_schedule", decode)):
        time |= {} if name is None else {key: name}
    shape = {"requests": 6, "input_tokens": 31000, "output_tokens": 40}
    data = {
        **LLAMA2,
        "workload": {"generator": "poisson", "parameters": shape | {"requests_per_s": 0.05}},
        "engine": EIGHT_HEADS if engine is None else engine,
        "design": design,
        "time": time,
    }
    return validate(data | changed, "test")


@pytest.fixture(scope="module")
def planned():
    names = (None, "unsplit", "flash_decoding", "lean")
    return {name: plan(scenario(name), CONTEXT, 1) for name in names}


def test_plans_show_what_splits_are_worth(planned):
    """A layer's attention falls from 0.77 to 0.09 ms, 32 times a step."""
    steps = {name: found["decode"]["seconds"] for name, found in planned.items()}
    assert steps["unsplit"] == pytest.approx(steps[None], rel=0.03)
    assert steps["unsplit"] - steps["lean"] == pytest.approx(32 * (0.774e-3 - 0.092e-3), rel=0.01)
    assert steps["lean"] < steps["flash_decoding"] < steps["unsplit"] / 3


def test_plans_say_where_their_times_come_from(planned):
    assert planned["lean"]["time_model"].endswith("; decode attention by schedule lean")
    origins = planned["lean"]["decode"]["origins"]
    assert 0.4 < origins[SCHEDULE] < 0.5
    assert sum(origins.values()) == pytest.approx(1.0)
    assert SCHEDULE not in planned["lean"]["prefill"]["origins"]
    assert SCHEDULE not in planned[None]["decode"]["origins"]
    assert planned["lean"]["prefill"] == planned[None]["prefill"]


def test_bands_are_the_schedules(planned):
    def width(name):
        step = planned[name]["decode"]
        return (step["p90_s"] - step["p10_s"]) / step["seconds"]

    assert width("lean") > width("flash_decoding") > width(None)


def test_runs_show_it_too_and_both_ends_of_the_band():
    tpot = {}
    for name, band in (("unsplit", "mid"), ("lean", "mid"), ("lean", "p10"), ("lean", "p90")):
        summary = summarise(simulate(scenario(name, band=band)))
        tpot[name, band] = summary["tpot_s"]["p50"]
        assert summary["times"]["model"].endswith(f"schedule {name}")
        assert summary["times"]["decode"]["origins"][SCHEDULE] > 0.3
    assert tpot["unsplit", "mid"] > 2.0 * tpot["lean", "mid"]
    assert tpot["lean", "p10"] < tpot["lean", "mid"] < tpot["lean", "p90"]


def test_the_same_scenario_has_the_same_result():
    first, again = (summarise(simulate(scenario("lean", "flash2"))) for _ in range(2))
    assert first.pop("wall_s") > 0
    assert again.pop("wall_s") > 0
    assert first == again


def test_tables_of_steps_ask_the_schedules():
    made = scenario("unsplit", "flash2")
    parts = build(made)
    timer, model = step_timer(made, parts), parts.model

    def asked(*works):
        work = Work.concat([launched(parts.times, each) for each in works])
        return float((parts.times.predict(work.ops).seconds * work.repeat).sum())

    for batch, keys in ((1, 30000), (13, 5000), (14, 5000)):
        step = timer.decode(np.full(batch, keys), 1).by_source.sum()
        works = (
            decode_work(model, 4, "bf16", batch, keys, 0.0),
            dense_work(model, "bf16", 4, batch, batch),
        )
        assert step == pytest.approx(asked(*works), rel=0.01)
    chunk = timer.mixed(np.array([4096]), np.array([20000]), np.zeros(0, np.int64))
    works = prefill_work(model, 4, "bf16", 4096, 20000), dense_work(model, "bf16", 4, 4096, 1)
    assert chunk.by_source.sum() == pytest.approx(asked(*works), rel=0.01)


def test_decodes_beside_a_chunk_add_up():
    made = scenario("lean")
    parts = build(made)
    timer = step_timer(made, parts)
    chunk, decodes = (np.array([2048]), np.array([2048])), np.full(4, 20000)

    def attention(decodes):
        dense = timer.dense.at(2048 + len(decodes)) + timer.by_sequences[1][1 + len(decodes)]
        return timer.mixed(*chunk, decodes).by_source.sum() - dense.sum()

    work = launched(parts.times, decode_work(parts.model, 4, "bf16", 4, 20000.0, 0.0))
    alone = float((parts.times.predict(work.ops).seconds * work.repeat).sum())
    assert attention(decodes) - attention(decodes[:0]) == pytest.approx(alone, rel=0.01)


def test_a_sequence_that_is_longer_keeps_one_cta_and_no_others():
    """Half of a batch at 30,000 keys and half at 10,000: unsplit as 30,000, lean as 20,000."""
    lengths = np.array([30000] * 4 + [10000] * 4)
    for name, like in (("unsplit", 30000), ("lean", 20000)):
        made = scenario(name)
        timer = step_timer(made, build(made))
        mixed = timer.decode(lengths, 1).by_source.sum()
        even = timer.decode(np.full(8, like), 1).by_source.sum()
        assert mixed == pytest.approx(even, rel=0.02)


QUANTISED = {name for name in preset_names() if name.startswith("kivi")}


@pytest.mark.parametrize("design", sorted(preset_names()))
def test_designs_compose_or_are_refused(design):
    llama = {"model": "Llama-3.1-8B", "hardware": "H200", "engine": {}}
    asked = {"decode": "lean", "prefill": "flash3", "design": design, **llama}
    if design in QUANTISED:
        with pytest.raises(BadInput, match="knows no such cache"):
            plan(scenario(**asked), CONTEXT, 4)
        return
    found = plan(scenario(**asked), CONTEXT, 4)
    assert found["decode"]["origins"][SCHEDULE] > 0
    assert found["prefill"]["origins"][SCHEDULE] > 0.1


def test_a_design_that_drops_tokens_runs_under_a_schedule():
    llama = {"model": "Llama-3.1-8B", "hardware": "H200", "engine": {}}
    full, dropped = (
        summarise(simulate(scenario("lean", "flash3", design=design, **llama)))
        for design in ("baseline", "snapkv")
    )
    assert dropped["completed"] == full["completed"] == 6
    assert dropped["tpot_s"]["p50"] < full["tpot_s"]["p50"]
    assert dropped["times"]["decode"]["origins"][SCHEDULE] > 0


REFUSED = {
    "unknown": (
        {"time.decode_schedule": "leen"},
        "unknown schedule of decode_attention 'leen'; accepted: did you mean lean?",
    ),
    "of prompts": (
        {"time.decode_schedule": "flash2"},
        "time.decode_schedule: unknown schedule of decode_attention 'flash2'",
    ),
    "on an array": ({"time.prefill_schedule": "fusemax"}, "time.prefill_schedule: unknown"),
    "another GPU": (
        {"time.prefill_schedule": "flash3", "hardware.name": "A100-80G"},
        "time.prefill_schedule: schedule 'flash3' does not exist on A100-80G; accepted: Hopper",
    ),
    "MLA": (
        {"time.decode_schedule": "lean", "model.name": "DeepSeek-V3", "hardware.name": "8xH200",
         "model.weights": "fp8", "engine.tensor_parallel_size": 8},
        "time.decode_schedule: schedule 'lean' knows no MLA",
    ),
    "codes": (
        {"time.decode_schedule": "lean", "design.preset": "kivi-2bit"},
        "time.decode_schedule: schedule 'lean' knows no such cache",
    ),
    "eight bits": (
        {"time.prefill_schedule": "flash1", "design.preset": "vllm-fp8-kv"},
        "time.prefill_schedule: schedule 'flash1' knows no such cache; accepted: kv_dtype bf16",
    ),
    "windows": (
        {"time.prefill_schedule": "flash1", "model.name": "gpt-oss-120b"},
        "time.prefill_schedule: schedule 'flash1' knows no window",
    ),
    "a profile": (
        {"time.decode_schedule": "lean", "time.model": "profile:nowhere"},
        "time.decode_schedule: 'lean', but a profile has whole steps",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_schedule_cannot_say_is_refused_before_the_run(case, capsys):
    keys, expected = REFUSED[case]
    base = {"model.name": "Llama-3.1-8B", "hardware.name": "H200"} | keys
    words = [f"--set={key}={value}" for key, value in base.items()]
    fixed = ("--model", base["model.name"], "--hardware", base["hardware.name"])
    assert run_cli(["plan", *fixed, "--context", "2000", "--batch", "2", *words]) == 2
    done = capsys.readouterr()
    assert expected in done.err
    assert (done.out, done.err.count("\n")) == ("", 1)
