"""vLLM's engine arguments as scenarios."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.fromvllm.arguments import read_arguments
from tierlab.simulator.fromvllm.scenario import scenario_from_vllm
from tierlab.simulator.fromvllm.translate import translate

WORKLOAD = ["workload.generator=poisson", "workload.limit=5"]
H100 = ["hardware=H100", *WORKLOAD]


def made(config, settings=H100):
    return scenario_from_vllm(config, None, settings)[0]


def file(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_command_line_a_yaml_and_a_json_say_the_same(tmp_path):
    command = "vllm serve meta-llama/Llama-3.1-8B --max-num-seqs 64 --block-size=32 --enforce-eager"
    yaml = "model: meta-llama/Llama-3.1-8B\nmax-num-seqs: 64\nblock_size: 32\nenforce-eager: true\n"
    data = {"model": "meta-llama/Llama-3.1-8B", "max_num_seqs": 64, "block_size": 32}
    ways = [
        command,
        file(tmp_path, "serve.sh", f"VLLM_X=1 {command} \\\n  --max-model-len 4k\n"),
        file(tmp_path, "engine.yaml", yaml),
        file(tmp_path, "engine.json", json.dumps(data | {"enforce_eager": True})),
    ]
    scenarios = [made(way) for way in ways]
    for scenario in scenarios:
        engine = scenario.engine
        assert scenario.model.name == "Llama-3.1-8B"
        assert (engine.max_num_seqs, engine.block_size) == (64, 32)
        assert engine.cudagraph_mode == "none"
        assert scenario.design.preset == "vllm"
    assert scenarios[1].engine.max_model_len == 4000
    tokens = [scenario.engine.max_num_batched_tokens for scenario in scenarios]
    assert tokens == [8192, 8192, 8192, 16384], "a JSON file is the LLM class's"


@pytest.mark.parametrize(
    ("hardware", "seqs", "tokens"),
    [("H100", 1024, 8192), ("A100-80G", 256, 2048), ("RTX-4090", 256, 2048)],
)
def test_what_nobody_gave_is_vllms_default_on_that_gpu(hardware, seqs, tokens):
    engine = made("vllm serve Qwen/Qwen3-8B", [f"hardware={hardware}", *WORKLOAD]).engine
    assert (engine.max_num_seqs, engine.max_num_batched_tokens) == (seqs, tokens)


def test_a_setting_wins_over_the_arguments():
    found = made("vllm serve Qwen/Qwen3-8B --max-num-seqs 64", [*H100, "engine.max_num_seqs=7"])
    assert found.engine.max_num_seqs == 7


def test_the_scenarios_other_keys_stay(tmp_path):
    text = 'model = "OPT-6.7B"\nhardware = "H100"\ntitle = "mine"\n[workload]\n'
    text += 'generator = "poisson"\n[engine]\nblock_size = 64\nmax_num_seqs = 3\n'
    path = tmp_path / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    found = scenario_from_vllm("vllm serve Qwen/Qwen3-8B --max-num-seqs 9", path, ())[0]
    assert (found.title, found.model.name) == ("mine", "Qwen3-8B")
    assert (found.engine.block_size, found.engine.max_num_seqs) == (64, 9)


@pytest.mark.parametrize(
    ("command", "weights"),
    [
        ("Qwen/Qwen3-32B", "bf16"),
        ("Qwen/Qwen3-32B-FP8", "fp8"),
        ("Qwen/Qwen3-32B-AWQ", "int4"),
        ("Qwen/Qwen3-32B --quantization fp8", "fp8"),
        ("Qwen/Qwen3-32B -q gptq_marlin", "int4"),
    ],
)
def test_quantised_weights(command, weights):
    scenario = made(f"vllm serve {command}")
    assert (scenario.model.name, scenario.model.weights) == ("Qwen3-32B", weights)


def test_without_prefix_caching_nothing_is_kept():
    assert made("vllm serve Qwen/Qwen3-8B --no-enable-prefix-caching").design.preset == "baseline"


def test_what_is_not_modelled_is_named(capsys):
    _, notes = scenario_from_vllm("vllm serve Qwen/Qwen3-8B --port 80 --api-key x", None, H100)
    assert any("api_key, port" in note for note in notes)


@pytest.mark.shared
def test_a_measured_runs_own_settings(shared_dir):
    found = translate(read_arguments(str(shared_dir / "measured/vllm_rtx4090/meta.json"))).data
    assert found["hardware"].lower().endswith("rtx-4090")
    assert found["engine"]["num_gpu_blocks"] == 2588
    assert found["engine"]["max_num_batched_tokens"] == 2048


numbers = st.integers(1, 4096)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, st.floats(0.1, 1.0), st.booleans())
def test_every_form_reads_back_what_was_written(
    tmp_path_factory, seqs, tokens, share, asynchronous
):
    folder = tmp_path_factory.mktemp("forms")
    values = {
        "model": "Qwen/Qwen3-8B",
        "max_num_seqs": seqs,
        "max_num_batched_tokens": tokens,
        "gpu_memory_utilization": share,
        "async_scheduling": asynchronous,
    }
    flag = "--async-scheduling" if asynchronous else "--no-async-scheduling"
    words = [f"--{k.replace('_', '-')} {v}" for k, v in values.items() if k[0] in "mg"][1:]
    command = f"vllm serve Qwen/Qwen3-8B {' '.join(words)} {flag}"
    yaml = "\n".join(
        f"{k}: {str(v).lower() if isinstance(v, bool) else v}" for k, v in values.items()
    )
    ways = [
        command,
        file(folder, "a.yaml", yaml),
        file(folder, "a.json", json.dumps(values)),
    ]
    for way in ways:
        engine = translate(read_arguments(way)).data["engine"]
        assert engine["max_num_seqs"] == seqs
        assert engine["max_num_batched_tokens"] == tokens
        assert engine["gpu_memory_utilization"] == pytest.approx(share)
        assert engine["async_scheduling"] is asynchronous


BAD = {
    "vllm serve": "no model",
    "vllm bench serve --model X": "client",
    "vllm serve Qwen/Qwen3-8B -pp 2": "pipeline",
    "vllm serve Qwen/Qwen3-8B --enable-lora": "adapters",
    "vllm serve Qwen/Qwen3-8B --max-num-seqs": "max_num_seqs",
    "vllm serve Qwen/Qwen3-8B --max-num-seqs many": "max_num_seqs",
    "vllm serve Qwen/Qwen3-8B --max-num-seqs 1.5": "max_num_seqs",
    "vllm serve Qwen/Qwen3-8B --max-num-seqs 1 --max-num-seqs 2": "twice",
    "vllm serve Qwen/Qwen3-8B --kv-cache-dtype int3": "kv_cache_dtype",
    "vllm serve Qwen/Qwen3-8B --quantization magic": "quantization",
    "vllm serve Qwen/Qwen3-8B --dtype float8": "dtype",
    "vllm serve 'Qwen/Qwen3-8B": "quotes",
    "vllm serve Qwen/Qwen3-8B --speculative-config '{}x'": "speculative",
    "no-such-file.yaml": "no such file",
}


@pytest.mark.parametrize(("config", "named"), BAD.items())
def test_what_cannot_be_honoured_is_one_line(capsys, config, named):
    settings = [word for setting in H100 for word in ("--set", setting)]
    assert run_cli(["run", "--from-vllm", config, *settings]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"),
        ("a.json", "[1]"),
        ("a.yaml", "model: [unclosed"),
        ("a.yaml", "model: a\nmodel: b"),
        ("a.yaml", "nested:\n  deeper: 1"),
        ("a.txt", "nothing of the kind"),
    ],
)
def test_broken_files_are_refused(tmp_path, name, text):
    with pytest.raises(BadInput):
        read_arguments(file(tmp_path, name, text))


def test_someone_must_say_where_and_what(capsys):
    assert run_cli(["run", "--from-vllm", "vllm serve Qwen/Qwen3-8B"]) == 2
    assert "hardware" in capsys.readouterr().err
    assert run_cli(["run"]) == 2
    assert "no SCENARIO" in capsys.readouterr().err
