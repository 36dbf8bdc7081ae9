"""Malformed records left out: counted, listed, and nothing else changed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.checks import longest_rise
from tierlab.traces.read import read_log
from tierlab.traces.readers import registry
from tierlab.traces.tally import SHOWN, Tally

FORMATS = [name for name in registry.READERS if name != "tierlab"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_sound_log_is_the_same_trace(samples, keep, trace_differences, name):
    path = keep(samples[name].data())
    strict, lenient = read_log(path), read_log(path, skip_bad=True)
    assert trace_differences(strict.trace, lenient.trace) == []
    assert lenient.tally.skipped == 0


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_left_is_the_log_without_the_bad_lines(samples, keep, trace_differences, name):
    lines = samples[name].lines()
    place = len(lines) if name in ("vllm-bench", "kv-cache-tester", "otel") else 2
    bad = [b'{"a": 1}', b"\xff\xfe", b'{"', b"[]", b"null", b'"text"', b"1e5"]
    mixed = b"\n".join([*lines[:place], *bad, *lines[place:]])
    read = read_log(keep(mixed), format=name, skip_bad=True)
    assert trace_differences(read.trace, read_log(keep(samples[name].data())).trace) == []
    assert read.tally.skipped == len(read.tally.told) == len(bad)
    assert read.tally.records == samples[name].requests + samples[name].excluded + len(bad)


def test_the_first_row_may_be_the_bad_one(mooncake, trace_differences):
    good = [{"timestamp": 9000 + 3000 * i} for i in range(4)]
    clean = read_log(mooncake(*good, name="clean"), jitter=False).trace
    for first in ({"input_length": "x"}, {"input_length": 0}, {"timestamp": float("nan")},
                  {"timestamp": 0, "hash_ids": [1]}):  # fmt: skip
        read = read_log(mooncake(first, *good, name="clean"), jitter=False, skip_bad=True)
        assert trace_differences(read.trace, clean) == []


def test_a_stamp_from_the_future_costs_one_row(mooncake):
    rows = [{"timestamp": 3000 * i} for i in range(9)]
    rows[4] = {"timestamp": 10**15}
    read = read_log(mooncake(*rows), jitter=False, skip_bad=True)
    assert read.trace.arrival_s.tolist() == [0, 3, 6, 9, 15, 18, 21, 24]
    assert "log.jsonl:5: timestamp is 1e+12 s after the first row" in read.tally.told[0]


def test_dates_among_numbers_are_bad_whichever_comes_first(keep):
    header = "ts,prompt_tokens,completion_tokens"
    dates = [f"2024-05-01 00:00:0{i},5,5" for i in range(5)]
    read = read_log(keep([header, *dates[:2], "1714521602,5,5", *dates[2:]]), skip_bad=True)
    assert read.trace.arrival_s.tolist() == [0, 1, 2, 3, 4]
    assert read.tally.skipped == 1
    assert ":4: ts = '1714521602'" in read.tally.told[0]


def test_one_date_ahead_of_numbers_costs_itself_alone(keep):
    rows = ["ts,prompt_tokens,completion_tokens", "2024-05-01 00:00:00,5,5", "3,5,5", "4,5,5"]
    read = read_log(keep(rows), skip_bad=True)
    assert read.trace.arrival_s.tolist() == [0, 1]
    assert read.tally.told == [line for line in read.tally.told if ":2: ts = '2024-05-01" in line]


def test_ours_with_rows_gone_keeps_its_sessions_dense(tmp_path, samples, keep):
    import polars as pl

    from tierlab.traces.write import write_trace

    trace = read_log(keep(samples["mooncake"].data())).trace
    write_trace(trace, tmp_path / "t.parquet", "-o")
    frame = pl.read_parquet(tmp_path / "t.parquet")
    meta = pl.read_parquet_metadata(tmp_path / "t.parquet")
    spoilt = frame.with_columns(
        output_tokens=pl.when(pl.col("session") == 2).then(-1).otherwise(pl.col("output_tokens"))
    )
    spoilt.write_parquet(
        tmp_path / "t.parquet", metadata={k: v for k, v in meta.items() if k != "ARROW:schema"}
    )
    read = read_log(str(tmp_path / "t.parquet"), skip_bad=True)
    assert (read.tally.read, read.tally.skipped) == (7, 1)
    assert read.trace.session.tolist() == list(range(7))


def test_a_subagent_keeps_its_parent_when_rows_before_it_go(keep, samples):
    rows = json.loads(json.dumps(samples["kv-cache-tester"].rows))
    rows[0]["requests"][0]["out"] = None
    trace = read_log(keep(rows), skip_bad=True).trace
    spawned = np.flatnonzero(trace.parent >= 0)
    assert trace.input_tokens[trace.parent[spawned]].tolist() == [200]
    assert (trace.session[trace.parent[spawned]] != trace.session[spawned]).all()


def test_rows_of_parquet(tmp_path):
    import polars as pl

    frame = pl.DataFrame({"arrival_s": [0.0, 1.0, 2.0], "prompt": [5, 0, 7], "osl": [1, 1, -1]})
    frame.rename({"prompt": "isl"}).write_parquet(tmp_path / "t.parquet")
    read = read_log(str(tmp_path / "t.parquet"), skip_bad=True)
    assert read.trace.input_tokens.tolist() == [5]
    assert [line.split(": ")[1] for line in read.tally.told] == ["row 1", "row 2"]


def test_nothing_left_is_an_error_that_says_why(mooncake):
    path = mooncake({"input_length": 0}, {"output_length": -1})
    told = r"no requests in 2 records; 2 malformed, the first: .*log.jsonl:1: input_length = 0"
    with pytest.raises(BadInput, match=told):
        read_log(path, skip_bad=True)


def test_all_are_counted_and_the_first_are_told(mooncake):
    path = mooncake({}, *[{"input_length": 0}] * 500)
    tally = read_log(path, skip_bad=True).tally
    assert (tally.read, tally.skipped, len(tally.bad)) == (1, 500, SHOWN)
    notes = list(tally.notes("x.jsonl"))
    assert notes[0] == "x.jsonl: skipped 500 of 501 records as malformed:"
    assert notes[-1] == f"  ... and {500 - SHOWN} more"


@pytest.mark.parametrize(
    ("field", "bad"), [("input_length", {"input_length": 0}), ("hash_ids", {"hash_ids": [1]})]
)
def test_all_are_kept_where_asked(mooncake, field, bad):
    read = read_log(mooncake({}, *[bad] * 500, {"timestamp": 9}), skip_bad=True, keep_all=True)
    told = read.tally.to_json()
    assert (told["read"], told["skipped"], len(told["bad"])) == (2, 500, 500)
    assert told["bad"][499]["place"].endswith("log.jsonl:501")
    assert told["bad"][0]["what"].startswith(field)
    assert told["bad"][0]["accepted"]


def test_a_damaged_archive_stops_nonetheless(tmp_path, samples):
    import gzip

    (tmp_path / "log.gz").write_bytes(gzip.compress(samples["azure"].data() * 50)[:-20])
    with pytest.raises(BadInput, match="damaged or cut short"):
        read_log(str(tmp_path / "log.gz"), format="azure", skip_bad=True)


def test_a_tally_that_is_not_to_skip_raises():
    with pytest.raises(BadInput, match="here: wrong"):
        Tally().skip(BadInput("here", "wrong"))


def longest(values: list[float]) -> int:
    """Return the length of a longest rise by trying every subset."""
    best = 0
    for mask in range(1 << len(values)):
        chosen = [v for i, v in enumerate(values) if mask >> i & 1]
        if chosen == sorted(chosen):
            best = max(best, len(chosen))
    return best


@given(st.lists(st.integers(0, 5), max_size=9))
def test_the_fewest_rows_are_left_out_of_a_clock_that_goes_back(values):
    rows = longest_rise(np.array(values, np.float64))
    kept = [values[row] for row in rows]
    assert kept == sorted(kept)
    assert (np.diff(rows) > 0).all()
    assert len(kept) == longest(values)


def test_replay_tells_on_stderr_and_goes_on(tierlab, mooncake):
    path = mooncake({}, {"input_length": 0}, "nonsense", {"timestamp": 3000})
    common = ("replay", path, "--model", "SmolLM2-135M", "--hardware", "H200", "--json")
    done = tierlab(*common, "--skip-bad")
    told = json.loads(done.stdout)
    assert told["requests"] == 2
    assert {key: told["records"][key] for key in ("read", "skipped")} == {"read": 2, "skipped": 2}
    assert "skipped 2 of 4 records as malformed:" in done.stderr
    assert "log.jsonl:2: input_length = 0" in done.stderr
    assert "log.jsonl:3: invalid JSON" in done.stderr
    refused = tierlab(*common, check=False)
    assert refused.returncode == 2
    assert "log.jsonl:3" in refused.stderr or "log.jsonl:2" in refused.stderr


def test_replay_tells_what_a_format_excludes(tierlab, tmp_path, samples):
    (tmp_path / "b.csv").write_bytes(samples["burstgpt"].data())
    done = tierlab("replay", "b.csv", "--model", "SmolLM2-135M", "--hardware", "H200", "--json")
    assert "b.csv: excluded 1 of 9 records: 0 response tokens: the request failed" in done.stderr


def test_skip_bad_needs_a_log(tierlab, tmp_path):
    (tmp_path / "s.toml").write_text(
        'model = "SmolLM2-135M"\nhardware = "H200"\n[workload]\ngenerator = "poisson"\n'
    )
    done = tierlab("run", "s.toml", "--set", "workload.skip_bad=true", check=False)
    assert done.returncode == 2
    assert "skip_bad" in done.stderr


def test_names_are_numbered_by_the_rows_that_stay(keep):
    header = "ts,prompt_tokens,completion_tokens,adapter,session"
    good = [f"{i},5,5,{name},{name}" for i, name in enumerate(["", "b", "a", "b", ""])]
    clean = read_log(keep([header, *good])).trace
    read = read_log(keep([header, "0,0,5,a,a", "0,0,5,z,b", *good]), skip_bad=True)
    assert read.trace.adapter.tolist() == clean.adapter.tolist() == [-1, 0, 1, 0, -1]
    assert read.trace.session.tolist() == clean.session.tolist() == [0, 1, 2, 1, 3]
    assert read.trace.turn.tolist() == [0, 0, 0, 1, 0]
