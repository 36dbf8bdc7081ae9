"""``--timeline`` on the command line: where it writes, and what it refuses."""

import gzip
import json
import os

import polars as pl
import pytest

from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.timeline import sink


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def events(path):
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)["traceEvents"]


def test_the_run_directory_holds_it_too(tierlab, scenario, tmp_path):
    tierlab("run", scenario, "-o", "out", "--timeline")
    assert names(tmp_path) == ["log.jsonl", "out", "scenario.toml"]
    steps = pl.read_parquet(tmp_path / "out/steps.parquet")
    made = events(tmp_path / "out/timeline.json.gz")
    assert sum(e["ph"] == "X" for e in made) == steps["steps"].sum()
    assert sum(e["ph"] == "b" and e["name"] == "request" for e in made) == 40


def test_equal_runs_are_equal_bytes_packed_or_not(tierlab, scenario, tmp_path):
    for name in ("a.json", "b.json", "a.json.gz", "b.json.gz"):
        tierlab("run", scenario, "--timeline", name)
    for end in ("json", "json.gz"):
        assert (tmp_path / f"a.{end}").read_bytes() == (tmp_path / f"b.{end}").read_bytes()
    assert events(tmp_path / "a.json") == events(tmp_path / "a.json.gz")


def test_it_changes_no_figure(tierlab, scenario, tmp_path):
    tierlab("run", scenario, "-o", "plain")
    tierlab("run", scenario, "-o", "seen", "--timeline")
    assert names(tmp_path / "seen") == sorted([*names(tmp_path / "plain"), "timeline.json.gz"])
    for name in ("summary.json", "requests.parquet", "steps.parquet", "manifest.json"):
        assert (tmp_path / "seen" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_a_log_can_be_replayed_with_it(tierlab, log, tmp_path):
    keys = ("--model", "SmolLM2-135M", "--hardware", "H200")
    tierlab("replay", log, *keys, "--timeline", "t.json", "--timeline-window", "1s:7s")
    spans = [e for e in events(tmp_path / "t.json") if e["ph"] == "X"]
    assert spans
    assert all(e["ts"] <= 7e6 and e["ts"] + e["dur"] >= 1e6 for e in spans)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--timeline"], "names no file"),
        (["--timeline", "t.html"], ".json or .json.gz"),
        (["--timeline", "gone/t.json"], "no such folder: gone"),
        (["--timeline", "folder.json"], "is a folder"),
        (["--timeline", "pipe.json"], "no plain file"),
        (["--timeline", "out/t.json", "-o", "out"], "without FILE"),
        (["--timeline-window", "1s:2s"], "without --timeline"),
        (["--timeline", "t.json", "--timeline-window", "20s:10s"], "ends before it begins"),
        (["--timeline", "t.json", "--timeline-window", "10"], "e.g. 10s:20s"),
        (["--timeline", "t.json", "--timeline-window", "9h:10h"], "the run ends at"),
        (["--timeline", "--timeline-window", "9h:10h", "-o", "new"], "the run ends at"),
        (["--timeline", "--timeline-window", "x", "-o", "deep/new"], "no window"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(
    scenario, tmp_path, monkeypatch, capsys, options, named
):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    before = names(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_cli(["run", str(scenario), *options]) == 2
    told = capsys.readouterr().err
    assert named in told
    assert len(told.strip().splitlines()) == 1
    assert names(tmp_path) == before
    assert names(tmp_path / "out") == []


def test_a_file_from_before_stays_when_the_run_fails(tierlab, scenario, tmp_path):
    (tmp_path / "t.json").write_text("mine")
    options = ("--timeline", "t.json", "--timeline-window", "9h:")
    assert tierlab("run", scenario, *options, check=False).returncode == 2
    assert (tmp_path / "t.json").read_text() == "mine"
    tierlab("run", scenario, "--timeline", "t.json")
    assert events(tmp_path / "t.json")


def test_a_full_disk_is_one_line(monkeypatch, scenario, tmp_path, capsys):
    def full(fd, *_, **__):
        os.close(fd)
        return open("/dev/full", "wb", buffering=0)

    monkeypatch.setattr(sink.os, "fdopen", full)
    status = run_cli(["run", str(scenario), "--timeline", str(tmp_path / "t.json")])
    assert status == 2
    assert "No space left on device" in capsys.readouterr().err
    assert names(tmp_path) == ["log.jsonl", "scenario.toml"]
