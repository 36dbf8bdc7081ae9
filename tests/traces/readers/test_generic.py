"""Tables of others: names, units, dates, and every refusal."""

import datetime
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.read import read_trace

AZURE = "traces/azure2023/AzureLLMInferenceTrace_conv.csv"


@pytest.fixture
def log(tmp_path: Path):
    """Return a function that writes a text file and returns its path."""

    def write(text: str, name: str = "log.csv") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_azure_names_and_seven_digits(log):
    path = log(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,4808,10\n"
        "2023-11-16 18:17:04.0319601,3180,8\n"
    )
    trace = read_trace(path)
    assert trace.arrival_s.tolist() == [0.0, 0.0520001]
    assert trace.input_tokens.tolist() == [4808, 3180]
    assert trace.output_tokens.tolist() == [10, 8]


@pytest.mark.parametrize(
    ("name", "scale"),
    [("arrival_s", 1), ("ts", 1), ("Timestamp_ms", 1e3), ("start_time_us", 1e6), ("time_ns", 1e9)],
)
def test_the_unit_is_in_the_columns_name(log, name, scale):
    rows = "".join(f"{(100 + i) * scale:.0f},5,5\n" for i in range(3))
    trace = read_trace(log(f"{name},prompt_tokens,completion_tokens\n{rows}"))
    assert trace.arrival_s.tolist() == [0.0, 1.0, 2.0]


def test_the_unit_in_the_maps_key(log):
    path = log("when,in,out\n5000,7,8\n6500,9,10\n")
    columns = {"arrival_ms": "when", "input_tokens": "in", "output_tokens": "out"}
    assert read_trace(path, columns=columns).arrival_s.tolist() == [0.0, 1.5]


def test_the_columns_own_unit_wins_over_the_schemas_name(log):
    path = log("at_us,in,out\n0,7,8\n1500000,9,10\n")
    columns = {"arrival_s": "at_us", "input_tokens": "in", "output_tokens": "out"}
    assert read_trace(path, columns=columns).arrival_s.tolist() == [0.0, 1.5]
    with pytest.raises(BadInput, match=r"'at_us' is in us, the map says ms"):
        read_trace(path, columns=columns | {"arrival_ms": "at_us"})


def test_sessions_turns_think_times_and_adapters(log):
    path = log(
        "ts,input_len,output_len,session_id,think_ms,lora\n"
        "0,5,5,b,,\n1,5,5,a,,fr\n2,5,5,b,1500,fr\n3,5,5,,,de\n"
    )
    trace = read_trace(path)
    assert trace.session.tolist() == [0, 1, 0, 2]
    assert trace.turn.tolist() == [0, 0, 1, 0]
    assert trace.adapter.tolist() == [-1, 0, 0, 1]
    assert trace.think_s[2] == 1.5
    assert np.isnan(trace.think_s[[0, 1, 3]]).all()


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators_quotes_and_a_byte_order_mark(log, mark):
    path = log(f'\ufeff"ts"{mark}"isl"{mark}"osl"\r\n"0"{mark}5{mark}6\r\n1{mark}7.0{mark}8\r\n')
    assert read_trace(path).input_tokens.tolist() == [5, 7]


def test_json_lines_with_nested_fields(log):
    rows = [{"ts": i, "usage": {"prompt_tokens": 5 + i, "completion_tokens": 2}} for i in (0, 1)]
    path = log("".join(json.dumps(row) + "\n" for row in rows), "log.jsonl")
    columns = {"input_tokens": "usage.prompt_tokens", "output_tokens": "usage.completion_tokens"}
    assert read_trace(path, columns=columns).input_tokens.tolist() == [5, 6]


def test_json_lines_by_name(log):
    path = log('{"arrival_ms": 0, "isl": 3, "osl": 4}\n{"arrival_ms": 250, "isl": 5, "osl": 6}\n')
    assert read_trace(path).arrival_s.tolist() == [0.0, 0.25]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_parquet_with_dates(tmp_path, unit):
    begin = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
    times = [begin, begin + datetime.timedelta(seconds=2.5)]
    frame = pl.DataFrame({"timestamp": times, "isl": [1, 2], "osl": [3, 4]})
    frame = frame.with_columns(pl.col("timestamp").dt.cast_time_unit(unit))
    frame.write_parquet(tmp_path / "t.parquet")
    trace = read_trace(str(tmp_path / "t.parquet"))
    assert trace.arrival_s.tolist() == [0.0, 2.5]
    assert trace.input_tokens.tolist() == [1, 2]


def test_parquet_errors_name_the_row(tmp_path):
    pl.DataFrame({"ts": [0, 1], "isl": [1, 0], "osl": [3, 4]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(BadInput, match=r"t.parquet: row 1: isl = 0"):
        read_trace(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("2024-05-10 00:00:00.009930+00:00", 0.00993),
        ("2024-05-10T02:00:01+02:00", 1.0),
        ("2024-05-09 19:00:01.5-0500", 1.5),
        ("2024-05-10T00:00:02Z", 2.0),
        ("2024-05-10T00:00:00.123456789", 0.123456789),
    ],
)
def test_dates_with_zones(log, stamp, seconds):
    path = log(f"time,isl,osl\n2024-05-10 00:00:00,1,1\n{stamp},1,1\n")
    assert read_trace(path).arrival_s[1] == pytest.approx(seconds, abs=1e-12)


def test_rows_in_any_order(log):
    trace = read_trace(log("ts,isl,osl\n5,1,1\n2,2,1\n9,3,1\n"))
    assert trace.arrival_s.tolist() == [0.0, 3.0, 7.0]
    assert trace.input_tokens.tolist() == [2, 1, 3]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 2**50), st.integers(1, 10**9), st.integers(0, 10**9)), min_size=1
    )
)
def test_csv_json_and_parquet_say_the_same(tmp_path, trace_differences, rows):
    frame = pl.DataFrame(rows, ["arrival_us", "input_tokens", "output_tokens"], orient="row")
    frame.write_csv(tmp_path / "t.csv")
    frame.write_ndjson(tmp_path / "t.jsonl")
    frame.write_parquet(tmp_path / "t.parquet")
    one, *others = (read_trace(str(tmp_path / f"t.{end}")) for end in ("csv", "jsonl", "parquet"))
    assert [trace_differences(one, other) for other in others] == [[], []]
    assert one.input_tokens.tolist() == [row[1] for row in sorted(rows, key=lambda row: row[0])]


def test_chunks_change_nothing(log, trace_differences, monkeypatch):
    path = log("ts,isl,osl,session\n" + "".join(f"{i % 7},{i + 1},1,{i % 3}\n" for i in range(50)))
    whole = read_trace(path)
    monkeypatch.setattr("tierlab.traces.readers.tables.CHUNK_ROWS", 8)
    assert trace_differences(whole, read_trace(path)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ts,isl,osl\n0,five,1\n", "log.csv:2: isl = 'five'; accepted: a number"),
        ("ts,isl,osl\n0,5.5,1\n", "log.csv:2: isl = '5.5'; accepted: an integer"),
        ("ts,isl,osl\n0,5,1\n1,,1\n", "log.csv:3: no value for 'isl'"),
        ("ts,isl,osl\n0,-5,1\n", "log.csv:2: isl = -5"),
        ("ts,isl,osl\n0,5,-1\n", "log.csv:2: osl = -1"),
        ("ts,isl,osl\n0,nan,1\n", "log.csv:2: isl = 'nan'"),
        ("ts,isl,osl\n0,1e300,1\n", "log.csv:2: isl = '1e300'"),
        ("ts,isl,osl\n0,5,1\nnan,5,1\n", "log.csv:3: ts = 'nan'; accepted: a number or an ISO"),
        ("ts,isl,osl\n0,5,1\ninf,5,1\n", r"log.csv:3: ts = 'inf'; accepted: a number below 5e\+18"),
        ("ts,isl,osl\nnoon,5,1\n", "log.csv:2: ts = 'noon'; accepted: a number or an ISO"),
        ("ts,isl,osl\n0,5,1\nnoon,5,1\n", "log.csv:3: ts = 'noon'"),
        ("ts,isl,osl\n2024-01-01 00:00:00,5,1\n7,5,1\n", "log.csv:3: ts = '7'; accepted: an ISO"),
        ("ts,isl,osl\n2024-02-30 00:00:00,5,1\n", "log.csv:2: ts = .*a date that exists"),
        ("ts,isl,osl\n0,5\n", "log.csv:2: 2 fields; accepted: 3"),
        ("ts,isl,osl,delay_ms\n0,5,1,-2000\n", "log.csv:2: delay_ms = -2.0 s"),
        ("ts,isl,osl\n", "no requests"),
        ("ts,isl,osl,isl\n0,5,1,6\n", "log.csv:1: column 'isl' stands 2 times in the header"),
        ("ts,isl,osl\n0,2147483648,1\n", "log.csv:2: isl = 2147483648; .* below 2.*31"),
        ("ts,isl\n0,5\n", "no column for output_tokens among 'ts', 'isl'"),
    ],
)
def test_a_bad_csv_is_told_by_line_column_and_value(log, text, expected):
    with pytest.raises(BadInput, match=expected):
        read_trace(log(text), format="generic")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"ts": 1, "isl": "5", "osl": 1}', "log.jsonl:2: isl = '5'; accepted: a number"),
        ('{"ts": 1, "isl": true, "osl": 1}', "log.jsonl:2: isl = True"),
        ('{"ts": 1, "osl": 1}', "log.jsonl:2: no value for 'isl'"),
        ('{"ts": 1, "isl": [5], "osl": 1}', r"log.jsonl:2: isl = \[5\]"),
        ('{"ts": 1, "isl": 5, "osl": 1, "session": {}}', "log.jsonl:2: session = {}"),
        ('{"ts": 1, "isl": 5, ', "log.jsonl:2: invalid JSON"),
    ],
)
def test_a_bad_json_line(log, line, expected):
    first = '{"ts": 0, "isl": 5, "osl": 1, "session": "a"}'
    with pytest.raises(BadInput, match=expected):
        read_trace(log(f"{first}\n{line}\n", "log.jsonl"))


def test_a_map_with_unknown_names(log):
    path = log("when,isl,osl\n0,1,1\n")
    with pytest.raises(
        BadInput, match=r"columns: unknown column 'arival_s'.*did you mean arrival_s"
    ):
        read_trace(path, columns={"arival_s": "when"})
    with pytest.raises(BadInput, match=r"columns.arrival_s: the log has no column 'wen'.*when"):
        read_trace(path, columns={"arrival_s": "wen"})


def test_text_that_is_not_utf8(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"ts,isl,osl\n0,1,1\n1,\xff,1\n")
    with pytest.raises(BadInput, match=r"log.csv:3: not UTF-8 text at byte 2"):
        read_trace(str(tmp_path / "log.csv"))


def test_parquet_in_gzip(tmp_path):
    import gzip

    pl.DataFrame({"ts": [0], "isl": [1], "osl": [3]}).write_parquet(tmp_path / "t.parquet")
    packed = gzip.compress((tmp_path / "t.parquet").read_bytes())
    (tmp_path / "t.parquet.gz").write_bytes(packed)
    with pytest.raises(BadInput, match=r"compressed Parquet"):
        read_trace(str(tmp_path / "t.parquet.gz"))


@pytest.mark.shared(AZURE)
def test_the_real_azure_log_has_the_published_figures(shared_dir):
    trace = read_trace(str(shared_dir / AZURE))
    assert len(trace) == 19_366
    assert np.quantile(trace.input_tokens, [0.5, 0.9, 0.99, 1]).round().tolist() == [
        1020,
        2734,
        4142,
        14050,
    ]
    assert np.quantile(trace.output_tokens, [0.5, 0.9, 0.99, 1]).round().tolist() == [
        129,
        424,
        601,
        1000,
    ]
    assert trace.arrival_s[-1] == pytest.approx(3502, abs=1)


def test_a_log_with_block_ids_is_not_taken_unasked(log):
    path = log('{"ts": 0, "isl": 3, "osl": 4, "hash_ids": [1]}\n', "log.jsonl")
    with pytest.raises(BadInput, match="no known trace format"):
        read_trace(path)
    assert read_trace(path, format="generic").block_tokens == 0
