import functools

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.keys import keys
from tierlab.simulator.scenario.load import (
    apply_settings,
    load_scenario,
    parse_setting,
    read_scenario,
    read_toml,
    validate,
)

GOOD = """
model = "Llama-3.1-8B"
hardware = "H200"
[workload]
generator = "poisson"
"""


@pytest.fixture
def write(tmp_path):
    def made(text):
        file = tmp_path / "scenario.toml"
        file.write_text(text)
        return file

    return made


def refused(write, text, settings=()):
    with pytest.raises(BadInput) as caught:
        load_scenario(write(text), settings)
    return caught.value.line()


def test_a_name_alone_stands_for_its_table(write):
    made = load_scenario(write(GOOD))
    assert (made.model.name, made.model.weights) == ("Llama-3.1-8B", "bf16")
    assert made.design.preset == "baseline"


def test_an_unknown_key_names_the_file_the_key_and_a_near_miss(write):
    line = refused(write, GOOD + "[engine]\nblok_size = 16\n")
    assert "scenario.toml, key engine.blok_size" in line
    assert "did you mean block_size?" in line


def test_an_unknown_section_names_a_near_miss(write):
    assert "did you mean engine?" in refused(write, GOOD + "[engin]\nblock_size = 16\n")


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("engine.block_size=0", "engine.block_size"),
        ("engine.block_size=-16", "engine.block_size"),
        ("engine.block_size=1.5", "engine.block_size"),
        ("engine.gpu_memory_utilization=nan", "engine.gpu_memory_utilization"),
        ("engine.gpu_memory_utilization=1.2", "engine.gpu_memory_utilization"),
        ("engine.max_num_seqs=many", "engine.max_num_seqs"),
        ("slo.ttft_s=-1", "slo.ttft_s"),
        ("model.weights=bf17", "model.weights"),
        ("model.expert_routing=zipf", "model.expert_routing"),
        ("model.expert_routing=0.5", "model.expert_routing"),
        ("model.expert_routing=true", "model.expert_routing"),
        ("seed=-1", "seed"),
        ("workload.arrivals=sometimes", "workload.arrivals"),
    ],
)
def test_a_bad_value_names_its_key(write, setting, named):
    assert f"key {named}" in refused(write, GOOD, [setting])


@pytest.mark.parametrize(("said", "number"), [("even", 0.0), ("uniform", 1.0), ("1.2", 1.2)])
def test_a_routing_of_experts_is_a_word_or_an_exponent(write, said, number):
    made = load_scenario(write(GOOD), [f"model.expert_routing={said}"])
    assert made.model.expert_routing == number
    assert load_scenario(write(GOOD)).model.expert_routing == 1.0


def test_broken_toml_names_the_line(write):
    assert "scenario.toml:3" in refused(write, 'model = "x"\n\nhardware = \n')


def test_a_missing_section_is_named(write):
    assert "workload" in refused(write, 'model = "x"\nhardware = "y"\n')


def test_two_workloads_are_one_too_many(write):
    line = refused(write, GOOD, ["workload.trace=log.jsonl"])
    assert "exactly one of" in line


def test_settings_are_toml_values_or_bare_words():
    assert parse_setting("a.b=16") == (["a", "b"], 16)
    assert parse_setting("a=1e3") == (["a"], 1000.0)
    assert parse_setting("a=[1, 2]") == (["a"], [1, 2])
    assert parse_setting("a=true") == (["a"], True)
    assert parse_setting("a=H200") == (["a"], "H200")
    assert parse_setting('a="1"') == (["a"], "1")
    assert parse_setting("a=x=y") == (["a"], "x=y")


@pytest.mark.parametrize("text", ["a", "=1", "a.=1", ""])
def test_a_setting_without_key_or_value_is_refused(text):
    with pytest.raises(BadInput, match="key=value"):
        parse_setting(text)


def test_a_setting_reaches_into_a_section_given_by_name():
    data = {"model": "x", "design": "baseline"}
    apply_settings(data, ["model.weights=fp8", "design.reuse=none"])
    assert data["model"] == {"name": "x", "weights": "fp8"}
    assert data["design"] == {"preset": "baseline", "reuse": "none"}


def test_a_setting_cannot_reach_into_a_number():
    with pytest.raises(BadInput, match="not a table"):
        apply_settings({"seed": 1}, ["seed.x=2"])


def test_paths_are_relative_to_the_scenario(write, tmp_path):
    (tmp_path / "log.jsonl").write_text("{}")
    (tmp_path / "gpu.toml").write_text("")
    text = 'model = "m"\nhardware = "./gpu.toml"\n[workload]\ntrace = "log.jsonl"\n'
    made = load_scenario(write(text))
    assert made.workload.trace == str(tmp_path / "log.jsonl")
    assert made.hardware.name == str(tmp_path / "gpu.toml")


@pytest.mark.parametrize(
    ("lines", "keys", "file"),
    [
        ('[hardware]\nname = "gpu.toml"', ("hardware", "name"), "gpu.toml"),
        ('[time]\nmodel = "t.csv"', ("time", "model"), "t.csv"),
        ('[time]\nmodel = "silicon:fit.json"', ("time", "model"), "fit.json"),
        ('[time]\nmodel = "profile:times"', ("time", "model"), "times"),
        ('[time]\nhost = "host.toml"', ("time", "host"), "host.toml"),
        ('[design]\nretention = "keep.py"', ("design", "retention"), "keep.py"),
        ('[engine]\nrouting = { name = "r.py" }', ("engine", "routing", "name"), "r.py"),
        ('[tiers.dram]\neviction = "e.py"', ("tiers", "dram", "eviction"), "e.py"),
    ],
)
def test_every_key_that_takes_a_file_is_relative_to_the_scenario(tmp_path, lines, keys, file):
    def found():
        return functools.reduce(dict.__getitem__, keys, read_scenario(tmp_path / "s.toml"))

    (tmp_path / "s.toml").write_text(lines)
    absent = found()
    (tmp_path / file).mkdir()
    assert absent.endswith(file)
    assert found() == absent.removesuffix(file) + str(tmp_path / file)


def test_a_name_is_no_file_that_happens_to_be_there(write, tmp_path):
    (tmp_path / "H200").mkdir()
    text = 'model = "m"\nhardware = "H200"\nworkload.generator = "poisson"\n'
    assert load_scenario(write(text)).hardware.name == "H200"


def test_a_folder_is_no_scenario(tmp_path):
    with pytest.raises(BadInput, match="is a folder"):
        read_toml(tmp_path, "SCENARIO")


def test_validating_what_was_dumped_gives_the_same(write):
    made = load_scenario(write(GOOD), ["slo.ttft_s=2", "engine.max_num_seqs=7"])
    assert validate(made.model_dump(), "again") == made


def test_the_user_guide_lists_every_key_with_default_and_meaning(repository):
    guide = (repository / "docs" / "user-guide.md").read_text()
    for key, default, meaning in keys():
        shown = default if default == "required" else f"`{default}`"
        assert f"| `{key}` | {shown} | {meaning} |" in guide
        assert meaning
