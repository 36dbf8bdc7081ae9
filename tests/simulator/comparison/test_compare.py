"""Runs held against measurements made up from them."""

import json

import numpy as np
import polars as pl
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.comparison.compare import compare
from tierlab.simulator.comparison.measured import read_measured
from tierlab.simulator.comparison.simulated import read_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a run of 60 requests."""
    out = tmp_path_factory.mktemp("runs") / "run"
    text = 'model = "SmolLM2-135M"\nhardware = "H200"\ndesign = "vllm"\n[workload]\n'
    text += 'generator = "poisson"\nlimit = 60\nparameters = { requests_per_s = 30.0, input_variation = 0.7 }\n'
    scenario = out.parent / "scenario.toml"
    scenario.write_text(text, encoding="utf-8")
    assert run_cli(["run", str(scenario), "-o", str(out)]) == 0
    return out


def rows(folder):
    return pl.read_parquet(folder / "requests.parquet").to_dicts()


def stamps(row, slower=1.0):
    """Return what a server that is `slower` after the queue would have logged."""
    queued = row["queued_s"]
    later = {
        "scheduled_ts": queued + slower * (row["scheduled_s"] - queued),
        "first_token_ts": queued + slower * (row["first_token_s"] - queued),
        "last_token_ts": queued + slower * (row["last_token_s"] - queued),
    }
    return {
        "request_id": f"r{row['request']}",
        "input_toks": row["input_tokens"],
        "output_toks": row["generated_tokens"],
        "arrival_time": 1.7e9 + row["arrival_s"],
        "queued_ts": 5000.0 + queued,
        **{name: 5000.0 + at for name, at in later.items()},
    }


def write_lines(path, entries):
    path.write_text("\n".join(json.dumps(e) for e in entries), encoding="utf-8")
    return path


def bench(run, slower=1.0, **more):
    ttft = [slower * (r["first_token_s"] - r["arrival_s"]) for r in run]
    tokens = [r["generated_tokens"] for r in run]
    span = [r["last_token_s"] - r["first_token_s"] for r in run]
    gaps = [[s / (n - 1)] * (n - 1) if n > 1 else [] for s, n in zip(span, tokens, strict=True)]
    return {
        "input_lens": [r["input_tokens"] for r in run],
        "output_lens": tokens,
        "ttfts": ttft,
        "itls": gaps,
        "start_times": [900.0 + r["arrival_s"] for r in run],
        **more,
    }


def test_its_own_timestamps_agree(folder, tmp_path):
    path = write_lines(tmp_path / "m.jsonl", [stamps(r) for r in rows(folder)])
    measured = read_measured(path)
    found = compare(read_run(folder, measured.queued), measured)
    assert found["lengths_differ"] == 0
    for marks in found["latency"].values():
        mean = marks["mean"]
        assert mean["simulated"] == pytest.approx(mean["measured"], abs=1e-6)
        assert (marks["median_request_error"] or 0.0) < 1e-5
    for rate in found["rate"].values():
        assert rate["error"] == pytest.approx(0.0, abs=1e-6)


def test_a_server_twice_as_slow_shows_in_every_latency(folder, tmp_path):
    path = write_lines(tmp_path / "m.jsonl", [stamps(r, 2.0) for r in rows(folder)])
    found = compare(read_run(folder, True), read_measured(path))
    for key in ("ttft_s", "tpot_s", "e2e_s"):
        assert found["latency"][key]["mean"]["error"] == pytest.approx(-0.5, rel=1e-6)


def test_requests_in_any_order_are_matched_by_arrival(folder, tmp_path):
    entries = [stamps(r) for r in rows(folder)]
    np.random.default_rng(3).shuffle(entries)
    found = compare(
        read_run(folder, True), read_measured(write_lines(tmp_path / "m.jsonl", entries))
    )
    assert found["latency"]["ttft_s"]["median_request_error"] < 1e-6


def test_vllms_benchmark_counts_from_arrival(folder, tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(bench(rows(folder))), encoding="utf-8")
    measured = read_measured(path)
    assert not measured.queued
    found = compare(read_run(folder), measured)
    assert set(found["latency"]) == {"ttft_s", "tpot_s", "e2e_s", "itl_s"}
    assert abs(found["latency"]["e2e_s"]["p99"]["error"]) < 1e-6
    assert abs(found["latency"]["itl_s"]["mean"]["error"]) < 1e-3
    assert abs(found["rate"]["output_tokens_per_s"]["error"]) < 1e-6


def test_a_benchmark_without_start_times_has_no_rates(folder, tmp_path):
    data = bench(rows(folder))
    del data["start_times"]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    found = compare(read_run(folder), read_measured(path))
    assert found["rate"]["output_tokens_per_s"]["measured"] is None
    assert abs(found["latency"]["e2e_s"]["p99"]["error"]) < 1e-6


def test_a_failed_request_of_the_benchmark_is_left_out(folder, tmp_path):
    data = bench(rows(folder))
    for key, value in (("input_lens", 10), ("output_lens", 0), ("ttfts", 0.0), ("itls", [])):
        data[key].append(value)
    data["start_times"].append(950.0)
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert len(read_measured(path)) == 60


def test_other_requests_are_refused(folder, tmp_path):
    entries = [stamps(r) | {"input_toks": 7} for r in rows(folder)]
    with pytest.raises(BadInput, match="other lengths, number 0 first: .* 7 in"):
        compare(read_run(folder, True), read_measured(write_lines(tmp_path / "m.jsonl", entries)))


def test_a_few_of_other_lengths_are_counted(folder, tmp_path):
    entries = [stamps(r) for r in rows(folder)]
    entries[5]["output_toks"] += 1
    found = compare(
        read_run(folder, True), read_measured(write_lines(tmp_path / "m.jsonl", entries))
    )
    assert (found["requests"], found["lengths_differ"]) == (60, 1)


@pytest.mark.parametrize("missing", [(0,), (59,), (20, 40)])
def test_requests_that_the_server_lost_are_skipped(folder, tmp_path, missing):
    entries = [stamps(r) for i, r in enumerate(rows(folder)) if i not in missing]
    found = compare(
        read_run(folder, True), read_measured(write_lines(tmp_path / "m.jsonl", entries))
    )
    assert found["requests"] == 60 - len(missing)
    assert (found["only_simulated"], found["only_measured"]) == (len(missing), 0)
    assert found["lengths_differ"] == 0
    assert found["latency"]["tpot_s"]["median_request_error"] < 1e-6


def test_too_many_lost_requests_are_refused(folder, tmp_path):
    entries = [stamps(r) for r in rows(folder)[10:]]
    with pytest.raises(BadInput, match="50 are the same"):
        compare(read_run(folder, True), read_measured(write_lines(tmp_path / "m.jsonl", entries)))


def test_the_command_prints_a_table_and_one_object(folder, tmp_path, capsys):
    path = write_lines(tmp_path / "m.jsonl", [stamps(r) for r in rows(folder)])
    assert run_cli(["compare", str(folder), "--measured", str(path)]) == 0
    text = capsys.readouterr().out
    assert "prefill service" in text
    assert "+0.0%" in text
    assert run_cli(["compare", str(folder), "--measured", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["requests"] == 60
    assert run_cli(["compare", str(folder), str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["latency"]["e2e_s"]["mean"]["error"] == 0.0
    assert found["first"] == found["second"] == str(folder)
    assert found["settings"] == {}
    assert not [key for key in found if "measured" in key]


GOOD = {
    "input_toks": 5,
    "output_toks": 2,
    "arrival_time": 1.0,
    "queued_ts": 1.0,
    "scheduled_ts": 2.0,
    "first_token_ts": 3.0,
    "last_token_ts": 4.0,
}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "neither"),
        ("[1, 2]", "neither"),
        ("{broken", ":1"),
        (json.dumps({"a": 1}), "no input_toks"),
        (json.dumps(GOOD | {"first_token_ts": "soon"}), "first_token_ts"),
        (json.dumps(GOOD | {"queued_ts": -1}), "queued_ts"),
        (json.dumps(GOOD | {"queued_ts": 9.0}), "backwards"),
        (json.dumps(GOOD) + "\n{", ":2"),
        (json.dumps(bench([]) | {"ttfts": [1.0]}), "differ in length"),
        (json.dumps(bench([])), "no answered request"),
        (json.dumps(bench([]) | {"itls": 3}), "a list of lists"),
        (json.dumps(bench([]) | {"itls": [3]}), "itls[0]"),
        (json.dumps(bench([]) | {"start_times": [1.0]}), "differ in length"),
        (json.dumps(bench([]) | {"input_lens": 3}), "a list of numbers"),
        (json.dumps(GOOD | {"last_token_ts": 1e999}), "last_token_ts"),
    ],
)
def test_bad_measurements_are_one_line(folder, tmp_path, capsys, text, named):
    path = tmp_path / "m.json"
    path.write_text(text, encoding="utf-8")
    assert run_cli(["compare", str(folder), "--measured", str(path)]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["{tmp}"], "one thing to compare"),
        (["{tmp}", "{tmp}"], "no run directory"),
        (["{run}", "{run}", "--measured", "x"], "one thing to compare"),
        (["{run}", "--measured", "{tmp}/none.json"], "none.json"),
        (["{run}", "--measured", "{tmp}"], "folder"),
        (["{run}", "{run}", "--timeseries", "x.csv"], "only beside --measured"),
        (["{run}", "{run}", "--plot", "x.png"], ".html"),
        (["{run}", "{run}", "--plot", "{tmp}/none/x.html"], "cannot write"),
        (["{run}", "{run}", "{run}"], "unexpected"),
        (["{run}", "{run}", "--plots", "x"], "--plots"),
    ],
)
def test_bad_arguments_are_one_line(folder, tmp_path, capsys, arguments, named):
    filled = [a.format(tmp=tmp_path, run=folder) for a in arguments]
    assert run_cli(["compare", *filled]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
