"""`tierlab sweep` from end to end: the table, workers, failures, resuming."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.run import simulate
from tierlab.simulator.sweep.figures import run_figures
from tierlab.simulator.sweep.read import make_sweep
from tierlab.simulator.sweep.run import run_sweep

POISSON = {"generator": "poisson", "parameters": {"requests": 40}}
BASE = {"model": "SmolLM2-135M", "hardware": "H200", "workload": POISSON}


def test_the_table_has_every_point_with_the_figures_of_its_run(sweep_file, cli, tmp_path):
    told = json.loads(cli("sweep", sweep_file, "-o", "out", "--json")[1])
    points = pl.read_parquet(tmp_path / "out" / "points.parquet")
    assert points["point"].to_list() == list(range(6))
    assert points["engine.max_num_seqs"].to_list() == [2, 2, 2, 8, 8, 8]
    assert points["engine.block_size"].to_list() == [16, 32, 64] * 2
    assert points["status"].to_list() == ["ok"] * 6
    assert points["error"].null_count() == 6
    assert (told["points"], told["failed"]) == (6, 0)
    scenario = validate(
        BASE | {"engine": {"max_num_seqs": 8, "block_size": 32}, "slo": {"ttft_s": 1.0}}, "test"
    )
    alone = run_figures(summarise(simulate(scenario)))
    assert points.row(4, named=True).items() >= alone.items()


def test_any_number_of_workers_writes_the_same_bytes(sweep_file, tierlab, tmp_path):
    for jobs in (1, 2):
        tierlab("sweep", sweep_file, "-o", f"out{jobs}", "--jobs", jobs)
    files = ("points.parquet", "manifest.json", "sweep.json", "chosen.parquet", "choice.json")
    for name in files:
        one, two = ((tmp_path / f"out{jobs}" / name).read_bytes() for jobs in (1, 2))
        assert one == two, name
    left = {path.name for path in (tmp_path / "out2").iterdir()}
    assert left == {*files, "timing.parquet"}


def test_the_order_of_points_leaves_no_trace(tmp_path):
    """What one point leaves in a worker's memory, a log and compiled code, changes no other."""
    log = tmp_path / "log.csv"
    rows = [f"{i},{500 + 7 * i},{20 + i}" for i in range(60)]
    log.write_text("arrival_s,input_tokens,output_tokens\n" + "\n".join(rows) + "\n")
    base = BASE | {"workload": {"trace": str(log), "arrivals": "closed"}}
    values = [{"limit": 60}, {"limit": 20}, {"limit": 40}]

    def swept(order):
        limits = [values[i]["limit"] for i in order]
        found = run_sweep(make_sweep({"scenario": base, "vary": {"workload.limit": limits}})).points
        return found.drop("point").sort("workload.limit")

    assert swept([0, 1, 2]).equals(swept([2, 1, 0]))


def test_a_failed_point_is_recorded_and_the_others_run(tmp_path, cli):
    (tmp_path / "s.toml").write_text(
        'vary = { "engine.tensor_parallel_size" = [1, 16], design = ["vllm", "nil"] }\n'
        '[scenario]\nmodel = "SmolLM2-135M"\nhardware = "H200"\n'
        'workload = { generator = "poisson", parameters = { requests = 4 } }\n'
    )
    status, out, _ = cli("sweep", "s.toml", "-o", "out", "--json")
    assert status == 0
    told = json.loads(out)
    assert (told["points"], told["failed"], told["meets"]) == (4, 3, 1)
    points = pl.read_parquet(tmp_path / "out" / "points.parquet")
    assert points["status"].to_list() == ["ok", "failed", "failed", "failed"]
    assert "unknown design 'nil'" in points["error"][1]
    assert "16 GPUs wanted" in points["error"][2]
    assert points["ttft_p99_s"].null_count() == 3


def test_a_sweep_whose_points_all_fail_exits_1(tmp_path, cli):
    (tmp_path / "router.py").write_text(
        "from dataclasses import dataclass\n\n@dataclass\nclass Router:\n"
        "    def choose(self, request, replicas):\n        return 9\n\nROUTER = Router\n"
    )
    (tmp_path / "s.toml").write_text(
        'vary = { "seed" = [1, 2] }\n'
        '[scenario]\nmodel = "SmolLM2-135M"\nhardware = "2xH200"\n'
        'engine = { replicas = 2, routing = "router.py" }\n'
        'workload = { generator = "poisson", parameters = { requests = 4 } }\n'
    )
    status, out, err = cli("sweep", "s.toml")
    assert (status, out) == (1, "")
    assert "every point failed; the first:" in err
    assert "chose replica 9" in err


def test_points_that_only_together_break_the_schema_fail_alone():
    workload = {"workload": POISSON | {"rate_per_s": 3.0, "arrivals": "poisson"}}
    vary = {"workload.arrivals": ["gamma", "poisson"], "workload.burstiness": [1.0, 2.0]}
    points = run_sweep(make_sweep({"scenario": BASE | workload, "vary": vary})).points
    assert points["status"].to_list() == ["ok", "ok", "ok", "failed"]
    assert "`burstiness` needs `arrivals` = gamma" in points["error"][3]


def test_a_worker_that_dies_costs_its_point_alone(deadly_sweep, tmp_path, cli):
    status, _, err = cli("sweep", deadly_sweep, "-o", "out", "--jobs", 2, "--json")
    assert status == 0, err
    points = pl.read_parquet(tmp_path / "out" / "points.parquet")
    assert points["status"].to_list() == ["ok", "ok", "failed", "failed", "ok", "ok"]
    assert points["error"][2] == "the worker process died; perhaps out of memory"


def test_a_base_file_and_the_paths_in_both_are_found(tmp_path, cli):
    log = "arrival_s,input_tokens,output_tokens\n0,100,10\n1,200,20\n"
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "one.csv").write_text(log)
    (tmp_path / "two.csv").write_text(log + "2,300,30\n")
    (tmp_path / "base" / "scenario.toml").write_text(
        'model = "SmolLM2-135M"\nhardware = "H200"\nworkload = { trace = "one.csv" }\n'
    )
    (tmp_path / "s.toml").write_text(
        'scenario = "base/scenario.toml"\n[vary]\nworkload.trace = ["base/one.csv", "two.csv"]\n'
    )
    assert cli("sweep", "s.toml", "-o", "out")[0] == 0
    assert pl.read_parquet(tmp_path / "out" / "points.parquet")["requests"].to_list() == [2, 3]
    inputs = json.loads((tmp_path / "out" / "manifest.json").read_text())["inputs"]
    assert sorted(inputs) == ["base/one.csv", "two.csv"]


def test_plans_are_swept_without_simulating(tmp_path, cli):
    (tmp_path / "s.toml").write_text(
        '[scenario]\nmodel = "Llama-3.1-8B"\nhardware = "H100"\n[plan]\nbatch = 1\n'
        "[vary]\nplan.context = { from = 1024, to = 4096, steps = 3, log = true }\n"
        'hardware = ["H100", "H200"]\n'
    )
    status, out, _ = cli("sweep", "s.toml", "-o", "out", "--objective", "capacity", "--json")
    assert status == 0
    points = pl.read_parquet(tmp_path / "out" / "points.parquet")
    assert points["plan.context"].to_list() == [1024, 1024, 2048, 2048, 4096, 4096]
    assert points["context"].to_list() == points["plan.context"].to_list()
    best = json.loads(out)["best"]["capacity"]
    assert (best["plan.context"], best["hardware"]) == (1024, "H200")


LONG = """
[scenario]
model = "SmolLM2-135M"
hardware = "H200"
workload = { generator = "poisson", parameters = { requests = 2000 } }
[vary]
seed = [1, 2, 3, 4, 5, 6, 7, 8]
"""


def begin(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    command = [Path(sys.prefix) / "bin" / "tierlab", "sweep", "long.toml", "-o", "out", *options]
    return subprocess.Popen(
        command,
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_parts(tmp_path: Path, number: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(parts(tmp_path)) < number:
        assert process.poll() is None, "ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def parts(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "out" / "parts").glob("*.parquet"))


@pytest.fixture
def long_sweep(tmp_path):
    (tmp_path / "long.toml").write_text(LONG)
    return tmp_path


def test_after_kill_9_only_points_in_flight_run_again(long_sweep, tierlab, cli):
    process = begin(long_sweep, "--jobs", "2")
    try:
        wait_for_parts(long_sweep, 2, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stderr.close()
    kept = {point for path in parts(long_sweep) for point in pl.read_parquet(path)["point"]}
    assert 2 <= len(kept) < 8
    stamps = {path: path.stat().st_mtime_ns for path in parts(long_sweep)}
    status, _, err = cli("sweep", "long.toml", "-o", "out")
    assert status == 2
    assert "holds an unfinished run" in err
    assert {path: path.stat().st_mtime_ns for path in parts(long_sweep)} == stamps
    resumed = tierlab("sweep", "long.toml", "-o", "out", "--resume", "--jobs", 2)
    assert f"{8 - len(kept)} points ran, {len(kept)} were there" in resumed.stderr
    assert cli("sweep", "long.toml", "-o", "whole")[0] == 0
    for name in ("points.parquet", "manifest.json", "choice.json"):
        one, two = ((long_sweep / f / name).read_bytes() for f in ("out", "whole"))
        assert one == two, name


def test_ctrl_c_leaves_what_resume_goes_on_with(long_sweep, cli):
    process = begin(long_sweep, "--jobs", "2")
    wait_for_parts(long_sweep, 2, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("tierlab: interrupted; ")
    assert "--resume -o out goes on" in err
    kept = len(parts(long_sweep))
    _, _, err = cli("sweep", "long.toml", "-o", "out", "--resume")
    assert f"{8 - kept} points ran, {kept} were there" in err


def test_a_finished_sweep_is_read_again_and_not_run_again(sweep_file, cli):
    assert cli("sweep", sweep_file, "-o", "out")[0] == 0
    status, _, err = cli("sweep", sweep_file, "-o", "out")
    assert status == 2
    assert "holds the results of a sweep" in err
    status, _, err = cli("sweep", sweep_file, "-o", "out", "--resume", "--objective", "ttft")
    assert status == 0
    assert "0 points ran, 6 were there" in err


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[2, 8]", "[2, 16]", "axes"),
        ("requests = 40", "requests = 41", "scenario"),
        ("[vary]", "[choose]\nmax_rate = true\n[vary]", "max_rate"),
    ],
)
def test_a_changed_sweep_does_not_resume(sweep_file, cli, old, new, key):
    assert cli("sweep", sweep_file, "-o", "out")[0] == 0
    sweep_file.write_text(sweep_file.read_text().replace(old, new))
    status, _, err = cli("sweep", sweep_file, "-o", "out", "--resume")
    assert status == 2
    assert f"--resume: {key} is not what the sweep in out was begun with" in err


def test_a_changed_log_does_not_resume(tmp_path, cli):
    log = tmp_path / "log.csv"
    log.write_text("arrival_s,input_tokens,output_tokens\n0,100,10\n")
    (tmp_path / "s.toml").write_text(
        '[scenario]\nmodel = "SmolLM2-135M"\nhardware = "H200"\nworkload = { trace = "log.csv" }\n'
        "[vary]\nseed = [1, 2]\n"
    )
    assert cli("sweep", "s.toml", "-o", "out")[0] == 0
    log.write_text(log.read_text() + "1,200,20\n")
    status, _, err = cli("sweep", "s.toml", "-o", "out", "--resume")
    assert status == 2
    assert "--resume: inputs is not what" in err


def test_two_sweeps_do_not_share_a_folder(sweep_file, tmp_path, cli):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, _, err = cli("sweep", sweep_file, "-o", "out")
    assert status == 2
    assert "another process runs its sweep in out" in err
    assert cli("sweep", sweep_file, "-o", "out")[0] == 0
