"""Every format: found by its content, read as its source defines it, told where it is wrong."""

import gzip

import numpy as np
import pytest
import zstandard

from tierlab.traces.read import read_log, read_trace
from tierlab.traces.readers import registry

FORMATS = [name for name in registry.READERS if name != "tierlab"]


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_found_by_content_alone_and_by_no_other_reader_before_it(samples, keep, name):
    data, path = samples[name].data(), keep(b"")
    found = [one for one in registry.READERS if registry.load(one).detect(data[: 1 << 16], path)]
    assert found[0] == name
    read = read_log(keep(data))
    assert (read.tally.read, read.tally.skipped) == (samples[name].requests, 0)
    assert read.tally.excluded.total() == samples[name].excluded
    assert len(read.trace) == samples[name].requests


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_it_is_read_compressed(samples, keep, trace_differences, name, pack):
    data = samples[name].data()
    plain, packed = keep(data, "log"), keep(pack(data), "log.gz")
    assert trace_differences(read_trace(plain), read_trace(packed)) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_line_that_is_none_is_told_by_its_number(samples, keep, name, refusal):
    sample = samples[name]
    lines = sample.lines()
    data = b"\n".join([*lines, b"\x00 ] no row of any format \xff"])
    line = refusal(keep(data), format=name)
    assert f"log.txt:{len(lines) + 1}:" in line
    read = read_log(keep(data), format=name, skip_bad=True)
    assert (read.tally.read, read.tally.skipped) == (sample.requests, 1)
    assert read.tally.told[0] == line


def test_the_readers_that_write_at_completion_sort(samples, keep):
    for name in ("dynamo", "sglang", "litellm", "otel", "vllm-bench", "lmcache-agent"):
        trace = read_trace(keep(samples[name].data()))
        assert trace.arrival_s[0] == 0
        assert (np.diff(trace.arrival_s) > 0).all(), name


@pytest.mark.parametrize("name", ["mooncake", "azure", "burstgpt", "bailian"])
def test_the_readers_that_write_at_arrival_refuse_a_clock_that_goes_back(
    samples, keep, name, refusal
):
    lines = samples[name].lines()
    first = 1 if samples[name].table else 0
    swapped = [*lines[: first + 2], lines[first + 3], lines[first + 2], *lines[first + 4 :]]
    line = refusal(keep(b"\n".join(swapped)))
    assert f"log.txt:{first + 4}:" in line
    assert "written in order of arrival" in line
    read = read_log(keep(b"\n".join(swapped)), skip_bad=True)
    assert (read.tally.read, read.tally.skipped) == (samples[name].requests - 1, 1)


BAD = [
    ("aiperf", ("input_length",), ..., "no field 'input_length'"),
    ("aiperf", ("hash_ids",), [1], "hash_ids = 1 ids for 602 input tokens; accepted: 2 ids: ceil"),
    ("aiperf", ("session_id",), ["a"], "session_id = ['a']; accepted: text or an integer"),
    ("bailian", ("turn",), 0, "turn = 0; accepted: an integer of 1 or more"),
    (
        "bailian",
        ("hash_ids",),
        [1, 2],
        "2 ids for 35 input tokens; accepted: 3 ids: ceil(input / 16)",
    ),
    ("bailian", ("timestamp",), "soon", "timestamp = 'soon'; accepted: a finite number"),
    ("dynamo", ("request", "output_tokens"), -1, "request.output_tokens = -1"),
    ("dynamo", ("request", "replay", "input_sequence_hashes", 1), 2**64, "= 18446744073709551616"),
    ("dynamo", ("request", "replay", "trace_block_size"), 8, "trace_block_size = 8; accepted: 4"),
    ("dynamo", ("request", "request_received_ms"), ..., "no field 'request.request_received_ms'"),
    ("dynamo", ("schema",), "v2", "schema = 'v2'; accepted: 'dynamo.request.trace.v1'"),
    ("sglang", ("out", "meta_info", "prompt_tokens"), None, "out.meta_info.prompt_tokens = None"),
    ("sglang", ("out",), ..., "no field 'out'; accepted: an object"),
    ("sglang", ("event",), "x", "event = 'x'; accepted: 'request.finished'"),
    ("litellm", ("startTime",), "noon", "startTime = 'noon'; accepted: seconds since 1970"),
    ("litellm", ("startTime",), "9999-01-01T00:00:00", "startTime = '9999"),
    ("litellm", ("status",), 1, "status = 1; accepted: 'success' or 'failure'"),
    ("litellm", ("prompt_tokens",), 0, "prompt_tokens = 0; accepted: an integer of 1 or more"),
    ("lmcache-agent", ("hash_runs", 0), [1, 0], "hash_runs = [1, 0]; accepted: [start, count]"),
    ("lmcache-agent", ("turn",), True, "turn = True"),
]


@pytest.mark.parametrize(("name", "path", "value", "expected"), BAD)
def test_a_bad_field_is_told_by_file_line_field_and_value(
    samples, keep, name, path, value, expected, refusal, changed
):
    rows = list(samples[name].rows)
    rows[2] = changed(rows[2], path, value)
    line = refusal(keep(rows))
    assert "log.txt:3: " in line
    assert expected in line


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("azure", "2023-11-16 18:17:03.97,many,10", "ContextTokens = 'many'; accepted: a number"),
        ("azure", "2023-11-16 18:17:03.97,0,10", "ContextTokens = 0"),
        ("azure", "yesterday,5,10", "TIMESTAMP = 'yesterday'; accepted: an ISO 8601 time"),
        ("azure", "9999-11-16 18:17:03.97,5,10", "TIMESTAMP = '9999-11-16 18:17:03.97'"),
        ("azure", "2023-11-16 18:17:03.97,5", "2 fields; accepted: 3, as in the header"),
        (
            "burstgpt",
            "10,GPT-4,1.5,10,11.5,API log",
            "Request tokens = '1.5'; accepted: an integer",
        ),
        ("burstgpt", "10,GPT-4,0,10,10,API log", "Request tokens = 0"),
        ("burstgpt", '10,"GPT-4,5,10,15,API log', "invalid CSV"),
    ],
)
def test_a_bad_cell_is_told_by_file_line_column_and_value(
    samples, keep, name, row, expected, refusal
):
    lines = [line.decode() for line in samples[name].lines()]
    line = refusal(keep([*lines[:3], row, *lines[4:]]))
    assert "log.txt:4: " in line or "invalid CSV" in line
    assert expected in line
