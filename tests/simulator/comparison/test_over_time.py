"""Runs over time beside samples of an engine."""

import csv
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.comparison.overtime import (
    again,
    clock_offset,
    generation,
    preemptions_by_counts,
)
from tierlab.simulator.comparison.served import Served
from tierlab.simulator.comparison.simulated import read_run
from tierlab.simulator.comparison.timeline import Timeline, read_timeline, run_timeline

SCENARIO = """
model = "SmolLM2-135M"
hardware = "H200"
design = "vllm"
[workload]
generator = "poisson"
limit = 120
parameters = { requests_per_s = 200.0, input_tokens = 300, input_variation = 0.8, output_tokens = 300 }
[engine]
num_gpu_blocks = 600
max_model_len = 8192
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a run of 120 requests that preempts."""
    out = tmp_path_factory.mktemp("runs") / "run"
    scenario = out.parent / "scenario.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    assert run_cli(["run", str(scenario), "-o", str(out)]) == 0
    return out


def write(path, t, **series):
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["t", *series])
        rows.writerows(zip(t, *series.values(), strict=True))
    return path


def requests(entered, queue, service, decode):
    entered, queue = np.array(entered, float), np.array(queue, float)
    ttft = queue + np.array(service, float)
    latencies = {"ttft_s": ttft, "queue_s": queue, "e2e_s": ttft + np.array(decode, float)}
    ones = np.ones(len(entered), np.int64)
    ends = entered + latencies["e2e_s"]
    return Served("made up", entered, ones, ones, latencies, entered, ends, queued=True)


def test_a_runs_samples_add_up_to_its_tokens(folder):
    ours = read_run(folder, True)
    times = np.arange(0.01, ours.seconds() + 0.02, 0.01)
    line = run_timeline(folder, ours, times)
    counted = line.series["gen_throughput"].sum() * 0.01
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    lost = summary["preemptions"]
    assert lost > 0
    total = ours.output_tokens.sum()
    assert total - 2 * lost - 1e-3 <= counted <= total * (1 + 1e-9), (
        "tokens that end a recomputation"
    )
    assert line.series["preemptions"].max() == lost
    assert line.series["kv_cache_pct"].max() <= 100.0
    present = line.series["running"] + line.series["waiting"]
    assert present.max() <= len(ours)
    assert present[-1] == 0


def test_samples_between_steps_of_a_run_show_an_idle_engine(folder):
    ours = read_run(folder, True)
    line = run_timeline(folder, ours, np.array([ours.seconds() + 5.0, ours.seconds() + 6.0]))
    assert not line.series["running"].any()
    assert not line.series["gen_throughput"].any()


def test_the_clock_offset_is_found(folder):
    ours = read_run(folder, True)
    line = run_timeline(folder, ours, np.arange(0.02, ours.seconds(), 0.02))
    assert clock_offset(line, ours) == pytest.approx(0.0, abs=0.02)
    assert clock_offset(line.shifted(0.5), ours) == pytest.approx(-0.5, abs=0.02)
    assert clock_offset(line.shifted(-1.2), ours) == pytest.approx(1.2, abs=0.02)


def test_who_waits_again_and_what_must_have_been_a_preemption():
    # Three at 0; the third is preempted between 1.5 and 2.5, and waits until it is resumed at 4.
    served = requests([0, 0, 0], [0, 0, 0.2], [0.1] * 3, [2.8, 4.8, 6.5])
    t = np.arange(0.5, 7.5, 1.0)
    running = np.array([3, 3, 2, 1, 2, 1, 1], float)
    waiting = np.array([0, 0, 1, 1, 0, 0, 0], float)
    line = Timeline("made up", t, {"running": running, "waiting": waiting})
    assert again(line, served).tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert preemptions_by_counts(line, served) == 1
    assert clock_offset(line, served) == pytest.approx(0.0, abs=0.5)


def test_the_counts_show_no_more_preemptions_than_there_were(folder):
    ours = read_run(folder, True)
    whole = pl.read_parquet(folder / "requests.parquet")["preemptions"].sum()
    for step in (0.05, 0.1, 0.2):
        line = run_timeline(folder, ours, np.arange(step, ours.seconds(), step))
        assert 0 < preemptions_by_counts(line, ours) <= whole


rates = st.lists(st.floats(1.0, 1e4), min_size=11, max_size=60).map(np.array)


@given(rates, st.floats(0.5, 2.0))
def test_an_engine_that_is_faster_throughout_differs_by_as_much_in_every_window(rate, factor):
    found = generation(factor * rate, rate)
    assert found["median"]["error"] == pytest.approx(factor - 1, abs=1e-9)
    for error in found["median_error"].values():
        assert error == pytest.approx(abs(factor - 1), abs=1e-9)


@given(rates)
def test_rates_that_swap_neighbours_agree_over_longer_windows(rate):
    rate = rate[: len(rate) // 10 * 10]
    swapped = rate.reshape(-1, 2)[:, ::-1].ravel()
    assert generation(swapped, rate)["median_error"]["10"] == pytest.approx(0.0, abs=1e-9)


def measured(folder, tmp_path):
    rows = pl.read_parquet(folder / "requests.parquet").to_dicts()
    keys = {"queued_ts": "queued_s", "scheduled_ts": "scheduled_s"}
    keys |= {"first_token_ts": "first_token_s", "last_token_ts": "last_token_s"}
    lines = [
        {
            "input_toks": r["input_tokens"],
            "output_toks": r["generated_tokens"],
            "arrival_time": r["arrival_s"],
            **{name: r[column] for name, column in keys.items()},
        }
        for r in rows
    ]
    path = tmp_path / "measured.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_the_command_says_how_a_run_differs_over_time(folder, tmp_path, capsys):
    ours = read_run(folder, True)
    line = run_timeline(folder, ours, np.arange(0.02, ours.seconds(), 0.02))
    stats = write(tmp_path / "stats.csv", line.times_s, **line.series)
    command = ["compare", str(folder), "--measured", str(measured(folder, tmp_path))]
    page = tmp_path / "page.html"
    assert run_cli([*command, "--timeseries", str(stats), "--plot", str(page)]) == 0
    shown = capsys.readouterr()
    assert "preemptions that the counts show" in shown.out
    assert f"wrote {page}" in shown.err
    text = page.read_text(encoding="utf-8")
    assert text.count("<section>") == 11, "five series, one told by the counts, five latencies"
    assert "https://cdn" not in text.split("<body>")[1]
    assert run_cli([*command, "--timeseries", str(stats), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["over_time"]
    assert found["clock_offset_s"] == pytest.approx(0.0, abs=0.02)
    for level in found["series"].values():
        assert level["error"] == pytest.approx(0.0, abs=0.03)
    count = found["preemptions"]
    assert count["simulated"] == count["measured"] > 0
    assert count["simulated_by_counts"] <= count["simulated"]


def test_two_runs_say_what_was_set_differently(folder, tmp_path, capsys):
    other = tmp_path / "other"
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    more = ["--set", "engine.num_gpu_blocks=6000", "-o", str(other)]
    assert run_cli(["run", str(scenario), *more]) == 0
    capsys.readouterr()
    assert run_cli(["compare", str(folder), str(other), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"] == {"engine.num_gpu_blocks": {"first": 600, "second": 6000}}
    assert found["figures"]["preemptions"]["first"] > 0
    assert found["figures"]["preemptions"]["second"] == 0
    assert found["latency"]["e2e_s"]["mean"]["error"] > 0
    assert run_cli(["compare", str(folder), str(other)]) == 0
    assert "settings that differ" in capsys.readouterr().out


def test_requests_that_only_one_run_answered_are_counted(folder, tmp_path, capsys):
    other = tmp_path / "other"
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    assert run_cli(["run", str(scenario), "--set", "workload.limit=117", "-o", str(other)]) == 0
    capsys.readouterr()
    assert run_cli(["compare", str(folder), str(other)]) == 0
    shown = capsys.readouterr().out
    assert "only first" in shown
    assert "117, 0 of other lengths" in shown


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "none"),
        ("a,b\n1,2\n", "a, b"),
        ("t\n1\n2\n", "columns t"),
        ("t,running\n1,2\n", "1 samples"),
        ("t,running\n1,2\n2\n", ":3"),
        ("t,running\n1,2\n2,x\n", ":3, running"),
        ("t,running\n1,2\n2,-1\n", "'-1'"),
        ("t,running\n1,2\n2,nan\n", "'nan'"),
        ("t,running\n2,2\n1,3\n", "does not increase"),
        ("t,running\n1,2\n1,3\n", ":3"),
    ],
)
def test_bad_samples_are_one_line(folder, tmp_path, capsys, text, named):
    path = tmp_path / "stats.csv"
    path.write_text(text, encoding="utf-8")
    command = ["compare", str(folder), "--measured", str(measured(folder, tmp_path))]
    assert run_cli([*command, "--timeseries", str(path)]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


def test_samples_that_are_no_file(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        read_timeline(tmp_path / "none.csv")


@pytest.mark.shared
def test_the_measured_engines_samples_agree_with_its_requests(shared_dir):
    from tierlab.simulator.comparison.measured import read_measured

    place = shared_dir / "measured" / "vllm_rtx4090"
    served = read_measured(place / "requests.jsonl")
    line = read_timeline(place / "timeseries.csv")
    assert line.series["gen_throughput"].sum() == served.output_tokens.sum()
    offset = clock_offset(line, served)
    assert abs(offset) < 0.3
    line = line.shifted(offset)
    present = line.series["running"] + line.series["waiting"]
    came = np.searchsorted(np.sort(served.entered_s), line.times_s, side="right")
    went = np.searchsorted(np.sort(served.ends_s), line.times_s, side="right")
    assert np.abs(came - went - present).sum() <= 13
    assert 80 <= preemptions_by_counts(line, served) <= 300
