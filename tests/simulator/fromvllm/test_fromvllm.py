"""vLLM's engine arguments as scenarios."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.fromvllm.arguments import read_arguments
from tierlab.simulator.fromvllm.known import KNOWN, SPEED
from tierlab.simulator.fromvllm.scenario import scenario_from_vllm
from tierlab.simulator.fromvllm.translate import translate
from tierlab.simulator.scenario.load import load_scenario

DOCUMENT = Path(__file__).parents[3] / "docs" / "from-vllm.md"
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


ARGUMENTS = {
    "tensor_parallel_size": st.sampled_from([1, 2, 4, 8]),
    "block_size": st.sampled_from([16, 32, 64]),
    "max_num_seqs": st.integers(1, 1024),
    "max_num_batched_tokens": st.integers(1024, 65536),
    "max_model_len": st.integers(1, 131072),
    "gpu_memory_utilization": st.floats(0.1, 1.0),
    "num_gpu_blocks_override": st.integers(1, 10**6),
    "async_scheduling": st.booleans(),
    "enable_prefix_caching": st.booleans(),
    "enforce_eager": st.booleans(),
    "max_cudagraph_capture_size": st.integers(1, 512),
    "kv_cache_dtype": st.sampled_from(["auto", "fp8"]),
    "quantization": st.sampled_from(["fp8", "awq"]),
    "seed": st.integers(0, 2**31),
}
given_arguments = st.fixed_dictionaries({}, optional=ARGUMENTS)


def as_command(values):
    words = ["vllm serve Qwen/Qwen3-8B"]
    for name, value in values.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words.append(f"--{option}={value}" if len(words) % 2 else f"--{name} {value}")
    return " ".join(words)


def as_yaml(values):
    lines = ["model: Qwen/Qwen3-8B  # of the server"]
    for name, value in values.items():
        lines.append(f"{name.replace('_', '-')}: {json.dumps(value)}")
    return "\n".join(lines)


@settings(max_examples=80, deadline=None)
@given(given_arguments)
def test_every_form_reads_back_what_was_written(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("forms")
    data = {"model": "Qwen/Qwen3-8B", **values}
    resolved = {"engine_kwargs": data, "vllm_version": "0.19.0"}
    ways = [
        as_command(values),
        file(folder, "serve.sh", as_command(values).replace(" --", " \\\n  --")),
        file(folder, "a.yaml", as_yaml(values)),
        file(folder, "a.json", json.dumps(data)),
        file(folder, "meta.json", json.dumps(resolved)),
    ]
    found = [translate(read_arguments(way)).data for way in ways]
    assert all(one == found[0] for one in found[1:])
    engine = found[0]["engine"]
    for name in ("tensor_parallel_size", "block_size", "max_num_seqs", "max_model_len"):
        assert engine.get(name) == values.get(name)
    assert engine.get("num_gpu_blocks") == values.get("num_gpu_blocks_override")
    assert engine.get("async_scheduling") == values.get("async_scheduling")
    assert (engine.get("cudagraph_mode") == "none") is values.get("enforce_eager", False)


def test_the_scenario_of_arguments_is_one_of_a_file(tmp_path):
    """What `--from-vllm` makes is what a scenario file with the same keys is."""
    text = 'hardware = "H100"\ndesign = "vllm"\n[model]\nname = "Qwen3-8B"\n[workload]\n'
    text += 'generator = "poisson"\nlimit = 5\n[engine]\nmax_num_seqs = 1024\n'
    path = tmp_path / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    assert made("vllm serve Qwen/Qwen3-8B") == load_scenario(path)


def test_defaults_stay_within_the_model_and_each_other():
    engine = made("vllm serve Qwen/Qwen3-8B --max-num-seqs 2 --max-model-len 1k").engine
    assert engine.max_num_batched_tokens == 2 * 1000
    engine = made("vllm serve Qwen/Qwen3-8B --max-num-batched-tokens 512").engine
    assert engine.max_num_seqs == 512
    engine = made("vllm serve facebook/opt-6.7b --max-num-seqs 1").engine
    assert engine.max_num_batched_tokens == 2048, "the model's context"


def test_throughput_mode_doubles_what_nobody_gave():
    engine = made("vllm serve Qwen/Qwen3-8B --performance-mode throughput").engine
    assert (engine.max_num_seqs, engine.max_num_batched_tokens) == (2048, 16384)
    command = "vllm serve Qwen/Qwen3-8B --performance-mode throughput --max-num-seqs 5"
    assert made(command).engine.max_num_seqs == 5


@pytest.mark.parametrize(
    ("options", "mode", "sizes"),
    [
        ("", "full_and_piecewise", None),
        ("-O0", "none", None),
        ("-O 1", "piecewise", None),
        ("--optimization-level=3", "full_and_piecewise", None),
        ('-cc \'{"cudagraph_mode": "FULL_DECODE_ONLY"}\'', "full_decode_only", None),
        ("--compilation-config.cudagraph_mode piecewise", "piecewise", None),
        ("-O1 -cc '{\"cudagraph_mode\": 2}'", "full", None),
        ("--cudagraph-capture-sizes 1 2 4", "full_and_piecewise", [1, 2, 4]),
        ("-cc '{\"cudagraph_capture_sizes\": [8]}'", "full_and_piecewise", [8]),
        ("--enforce-eager -O2 --cudagraph-capture-sizes 8", "none", None),
    ],
)
def test_graphs(options, mode, sizes):
    engine = made(f"vllm serve Qwen/Qwen3-8B {options}").engine
    assert (engine.cudagraph_mode, engine.cudagraph_capture_sizes) == (mode, sizes)


def test_weights_are_what_the_checkpoint_holds():
    assert made("vllm serve openai/gpt-oss-120b").model.weights == "mxfp4"
    assert made("vllm serve deepseek-ai/DeepSeek-V3 -tp 8").model.weights == "fp8"
    assert made("vllm serve nvidia/DeepSeek-V3-FP4 -tp 8").model.weights == "nvfp4"
    asked = made("vllm serve Qwen/Qwen3-30B-A3B --quantization modelopt_fp4").model
    assert (asked.name, asked.weights) == ("Qwen3-30B-A3B", "nvfp4")


def test_dense_data_parallelism_is_replicas():
    engine = made("vllm serve Qwen/Qwen3-8B -dp 4 -tp 2").engine
    assert (engine.replicas, engine.tensor_parallel_size) == (4, 2)
    assert engine.routing == "least_loaded"


def test_a_container_is_a_server():
    command = "docker run --gpus all -p 8000:8000 vllm/vllm-openai:v0.19.0 --model Qwen/Qwen3-8B"
    assert made(command).model.name == "Qwen3-8B"


def test_the_command_line_wins_over_its_file(tmp_path):
    config = file(tmp_path, "c.yaml", "model: Qwen/Qwen3-32B\nmax-num-seqs: 8\nblock-size: 32\n")
    engine = made(f"vllm serve Qwen/Qwen3-8B --config {config} --max-num-seqs 9")
    assert engine.model.name == "Qwen3-8B"
    assert (engine.engine.max_num_seqs, engine.engine.block_size) == (9, 32)


def test_what_the_time_model_cannot_see_is_named():
    _, notes = scenario_from_vllm(
        "vllm serve Qwen/Qwen3-8B --attention-backend FLASHINFER --max-model-len auto", None, H100
    )
    assert any("not seen by the time model: attention_backend" in note for note in notes)
    assert any("max_model_len auto" in note for note in notes)


def test_the_documents_table_is_complete():
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in (*KNOWN, *SPEED):
        assert f"`{name}`" in text, name


def test_the_documents_example_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```(\w+)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    of = {kind: body for kind, body in blocks if kind in ("toml", "yaml")}
    (tmp_path / "requests.toml").write_text(of["toml"], encoding="utf-8")
    (tmp_path / "engine.yaml").write_text(of["yaml"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run_cli(["run", "requests.toml", "--from-vllm", "engine.yaml", "-o", "out/run"]) == 0
    shown = capsys.readouterr()
    for line in of_kind(blocks, "text").strip().splitlines():
        assert line in shown.err, line
    resolved = json.loads((tmp_path / "out/run/manifest.json").read_text(encoding="utf-8"))
    assert resolved["scenario"]["engine"]["max_num_seqs"] == 128


def of_kind(blocks, kind):
    return next(body for found, body in blocks if found == kind)


@pytest.mark.shared
def test_a_measured_runs_settings_are_enough_for_a_run(shared_dir, tmp_path, capsys):
    place = shared_dir / "measured" / "vllm_rtx4090"
    columns = "{arrival_s='arrival_time',input_tokens='input_toks',output_tokens='output_toks'}"
    words = [f"workload.trace={place / 'requests.jsonl'}", f"workload.columns={columns}"]
    more = [word for setting in [*words, "workload.limit=20"] for word in ("--set", setting)]
    out = tmp_path / "run"
    assert run_cli(["run", "--from-vllm", str(place / "meta.json"), *more, "-o", str(out)]) == 0
    capsys.readouterr()
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    engine = manifest["scenario"]["engine"]
    assert manifest["resolved"]["num_gpu_blocks"] == 2588
    assert engine["cudagraph_mode"] == "full_and_piecewise"
    assert engine["cudagraph_capture_sizes"][-1] == 512
    assert (engine["max_model_len"], engine["async_scheduling"]) == (32768, True)


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
    "vllm serve Qwen/Qwen3-8B --max-num-batched-token 64": "did you mean max_num_batched_tokens",
    "vllm serve Qwen/Qwen3-8B --max-num-seqs 64 --max-num-batched-tokens 32": "does not start",
    "vllm serve Qwen/Qwen3-30B-A3B -dp 2": "exchange tokens",
    "vllm serve Qwen/Qwen3-8B -O7": "optimization_level",
    "vllm serve Qwen/Qwen3-8B -cc {x": "JSON object",
    'vllm serve Qwen/Qwen3-8B -cc \'{"cudagraph_mode": "HALF"}\'': "FULL_DECODE_ONLY",
    "vllm serve Qwen/Qwen3-8B --cudagraph-capture-sizes a b": "cudagraph_capture_sizes",
    "vllm serve Qwen/Qwen3-8B --async-scheduling maybe": "async_scheduling",
    "vllm serve Qwen/Qwen3-8B --watermark 0.1": "as soon as it fits",
    "vllm serve no/such-model": "no/such-model",
    "vllm serve Qwen/Qwen3-8B -zz 3": "-zz",
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
