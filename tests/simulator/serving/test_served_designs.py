"""Designs that a served run would misjudge are refused; `plan` takes them."""

import pytest

from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.run import simulate

BASE = {
    "model": "Llama-3.1-8B",
    "hardware": "H200",
    "workload": {"generator": "poisson", "limit": 3},
}


@pytest.mark.parametrize("design", ["baseline", "vllm", "vllm-fp8-kv"])
def test_what_the_engine_honours_runs(design):
    run = simulate(validate(BASE | {"design": design}, "test"))
    assert run.ledger.output > 0


@pytest.mark.parametrize(
    ("design", "axis"),
    [
        ("h2o", "retention"),
        ("snapkv", "retention"),
        ("streamingllm", "retention"),
        ("kivi-2bit", "representation"),
        ("infllm", "selection"),
    ],
)
def test_what_it_does_not_is_refused_with_what_does(design, axis, tmp_path, capsys):
    path = tmp_path / "s.toml"
    path.write_text(
        f'model = "OPT-6.7B"\nhardware = "H200"\ndesign = "{design}"\n'
        '[workload]\ngenerator = "poisson"\n[engine]\nmax_model_len = 2048\n',
        encoding="utf-8",
    )
    assert run_cli(["run", str(path)]) == 2
    error = capsys.readouterr().err
    assert f"design.{axis}" in error
    assert "tierlab plan" in error
    assert error.count("\n") == 1
