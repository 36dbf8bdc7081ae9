"""The functions give what the commands give."""

import json

import polars as pl
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator import api
from tierlab.simulator.sweep.figures import plan_figures, run_figures

SCENARIO = {
    "model": "SmolLM2-135M",
    "hardware": "H200",
    "workload": {"generator": "poisson", "parameters": {"requests": 30}},
}
TOML = """
model = "SmolLM2-135M"
hardware = "H200"
workload = { generator = "poisson", parameters = { requests = 30 } }
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "s.toml").write_text(TOML)
    return tmp_path / "s.toml"


def test_run_is_the_command(file, tierlab, tmp_path):
    told = json.loads(tierlab("run", file, "--set", "seed=3", "-o", "one", "--json").stdout)
    found = api.run(file, ["seed=3"], tmp_path / "two")
    assert found.summary.row(0, named=True).items() >= run_figures(told).items()
    one = pl.read_parquet(tmp_path / "one" / "requests.parquet")
    assert found.requests.equals(one)
    assert (tmp_path / "two" / "requests.parquet").read_bytes() == (
        tmp_path / "one" / "requests.parquet"
    ).read_bytes()


def test_a_scenario_may_be_a_path_a_table_or_itself(file):
    made = api.scenario(SCENARIO)
    assert api.scenario(file) == api.scenario(str(file)) == api.scenario(made) == made
    assert api.scenario(made, ["seed=4"]).seed == api.scenario(SCENARIO, ["seed=4"]).seed == 4
    assert "seed" not in SCENARIO


def test_plan_is_the_command(tierlab):
    options = ("--model", "Llama-3.1-8B", "--hardware", "H100", "--context", 4096)
    told = json.loads(tierlab("plan", *options, "--json").stdout)
    (row,) = api.plan({"model": "Llama-3.1-8B", "hardware": "H100"}, 4096).to_dicts()
    assert row.items() >= plan_figures(told).items()


def test_replay_is_run_of_a_log(tmp_path):
    (tmp_path / "log.csv").write_text("t,i,o\n0,100,10\n1,200,20\n")
    columns = ["arrival_s=t", "input_tokens=i", "output_tokens=o"]
    found = api.replay(tmp_path / "log.csv", "SmolLM2-135M", "H200", columns=columns)
    assert found.requests["input_tokens"].to_list() == [100, 200]
    assert found.requests["status"].to_list() == ["completed"] * 2


def test_a_curve_is_a_row_a_capacity(tmp_path):
    rows = [
        {
            "timestamp": 1000 * i,
            "input_length": 1024,
            "output_length": 1,
            "hash_ids": [0, 1 + i % 2],
        }
        for i in range(6)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = api.mrc(tmp_path / "log.jsonl", ["lru", "fifo"], [1, 3])
    assert found.columns == ["policy", "capacity_blocks", "hit_ratio"]
    large = found.filter(pl.col("capacity_blocks") == 3)["hit_ratio"]
    assert large.to_list() == pytest.approx([9 / 12] * 2)


def test_choose_reads_a_frame_or_a_folder(tmp_path):
    asked = {"scenario": SCENARIO, "vary": {"engine.max_num_seqs": [1, 8]}}
    points = api.sweep(asked, tmp_path / "out")
    one, two = api.choose(points, "ttft"), api.choose(tmp_path / "out", "ttft")
    assert one.points.equals(two.points)
    assert one.keys == two.keys == ("engine.max_num_seqs",)
    assert one.best(one.objectives[0])["engine.max_num_seqs"] == 8
    with pytest.raises(BadInput, match="no points of a sweep"):
        api.choose(pl.DataFrame({"a": [1]}))
