"""benchmarks/gpu_run.py on a bare machine, with the CPU's measurements in the GPU's place."""

import json
import runpy
import subprocess
import sys

import numpy as np
import pytest

BARE = """
import runpy, sys
class Lacks:
    def find_spec(self, name, path=None, target=None):
        lacks = ("polars", "simpy", "pydantic", "rich", "plotly", "scipy", "joblib", "zstandard")
        if name.split(".")[0] in lacks:
            raise ModuleNotFoundError(f"not on a bare machine: {name}", name=name)
sys.meta_path.insert(0, Lacks())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def bare(repository, tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        script = str(repository / "benchmarks" / "gpu_run.py")
        command = [sys.executable, "-P", "-c", BARE, script, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_it_measures_on_a_bare_machine(bare, tmp_path, repository) -> None:
    done = bare("--device", "cpu", "--quick", "--budget", "0.1", "--only", "memory", "-o", "out")
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["figures.json", "measured.json", "measured.npz"]
    rows = json.loads((tmp_path / "out" / "measured.json").read_text())["rows"]
    with np.load(tmp_path / "out" / "measured.npz") as found:
        assert found["seconds"].tolist() == [r["seconds"] for r in rows]
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures["memory_read_bytes_per_s"] > 1e7
    assert "memory_read_bytes_per_s: " in done.stdout


def test_without_a_gpu_it_says_so_and_leaves_nothing(bare, tmp_path) -> None:
    done = bare("--device", "cuda:99", "-o", "out")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("gpu_run: error: --device: ")
    assert "cuda:99" in line
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_lost_keeps_what_was_measured(plan, repository, tmp_path, capsys) -> None:
    from tierlab.kernels.base.errors import BadInput

    def lost() -> None:
        raise BadInput("--device", "cuda:0 failed: GPU is lost")

    script = runpy.run_path(str(repository / "benchmarks" / "gpu_run.py"))
    plan.at = {4: lost}
    assert script["run"]("cpu", tmp_path, True, None) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["measured.json.journal"]
    said = capsys.readouterr().err
    assert "3 measurements are kept" in said
    assert "gpu_run: error: --device: cuda:0 failed: GPU is lost" in said
    plan.at = {}
    assert script["run"]("cpu", tmp_path, True, None) == 0
    assert plan.asked == 4 + 10 - 3
    assert "memory_copy_bytes_per_s" in capsys.readouterr().out
