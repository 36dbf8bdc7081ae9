"""Hostile logs: never a traceback, a hang, or a count that does not add up.

Whatever is done to a log, reading it ends in a trace or in one `BadInput`; and with bad records
skipped, what was read, skipped and excluded adds up to the records of the log.
"""

import copy
import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.read import Reading, read_log
from tierlab.traces.readers import registry

FORMATS = [name for name in registry.READERS if name != "tierlab"]
LONGEST_S = 5.0
EXAMPLES = 60

VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**62, 2**63, 2**64, 10**30, -(10**30), 0.5, 1e308, -0.0,
    float("nan"), float("inf"), float("-inf"), "", "x", "5", "1e5", "\x00", "\ud800", "é" * 300,
    "2023-11-16 18:17:03", "0000-00-00 00:00:00", [], {}, [[]], [None], [[1, 2**62]], [[0, 1]],
    [-1], [2**70], [1, [2]], {"a": 1}, [0] * 5000, ["a"], [{}],
]  # fmt: skip
RAW = [
    b"",
    b"\x00" * 40,
    b"[" * 100_000,
    b'{"a":' * 5_000,
    b"9" * 5_000,
    b"{}",
    b"null",
    b'"',
    b",,,,",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf",
    b"\r\r",
    b'"a\n"',
]


def read(data: bytes, keep: Any, name: str | None, skip_bad: bool) -> Reading | BadInput:
    """Read some bytes; anything but a trace or one line of refusal fails the test."""
    begin = time.process_time()
    try:
        found: Reading | BadInput = read_log(keep(data), format=name, skip_bad=skip_bad)
    except BadInput as error:
        found = error
    assert time.process_time() - begin < LONGEST_S
    if isinstance(found, BadInput):
        assert len(found.line().encode().splitlines()) == 1
    return found


def records(data: bytes, table: bool) -> int:
    """Count what could be records: lines that are not blank, but for a table's header."""
    lines = data.split(b"\n")
    if table:
        return sum(bool(line.removesuffix(b"\r")) for line in lines[1:])
    return sum(bool(line.strip()) for line in lines)


def intact(data: bytes, sample: Any) -> int:
    """Count the records of the log's own lines that no mutation hit; only one result is a log."""
    own = sample.lines()
    lines = [line for line in data.split(b"\n") if line.strip()]
    if len(own) == 1:
        return sample.a_line if lines[0] == own[0] else 0
    counts = (
        dict.fromkeys(own, sample.a_line) if sample.a_line else dict(zip(own, (5, 4), strict=True))
    )
    return sum(counts.get(line, 0) for line in lines)


def check(data: bytes, keep: Any, sample: Any, name: str) -> Reading | None:
    """Check all that holds for any bytes; return the reading where something was left."""
    strict, lenient = (read(data, keep, name, skip) for skip in (False, True))
    for found in (strict, lenient):
        if isinstance(found, Reading):
            assert len(found.trace) == found.tally.read
            found.trace.validate("fuzz")
            if name == "generic" and b'"' in data:  # a quoted cell may hold line breaks
                assert found.tally.records <= records(data, sample.table)
            elif sample.a_line == 1:
                assert found.tally.records == records(data, sample.table)
            else:
                assert found.tally.records >= intact(data, sample)
    if isinstance(strict, Reading):
        assert strict.tally.skipped == 0
        assert isinstance(lenient, Reading)
        assert lenient.trace.arrival_s.tobytes() == strict.trace.arrival_s.tobytes()
    return lenient if isinstance(lenient, Reading) else None


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all fields and items within a value."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    found = []
    for key, one in inner:
        found += [(*above, key), *paths(one, (*above, key))]
    return found


def anything() -> st.SearchStrategy[Any]:
    """Draw a JSON value."""
    leaves = st.sampled_from(VALUES) | st.integers() | st.floats() | st.text(max_size=5)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    )


@st.composite
def damaged_objects(draw: st.DrawFn, sample: Any) -> tuple[bytes, int]:
    """Draw a log of objects with some fields set, taken away or added; and how many are hit."""
    rows = copy.deepcopy(list(sample.rows))
    hit = set()
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(rows) - 1))
        known = paths(rows[place])
        if not known:
            continue
        *above, last = draw(st.sampled_from(known))
        owner = rows[place]
        for step in above:
            owner = owner[step]
        hit.add(place)
        if draw(st.booleans()) and draw(st.booleans()):
            del owner[last]
        else:
            owner[last] = copy.deepcopy(draw(anything()))  # a value of `VALUES` may be hit next
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode(), len(hit)


@st.composite
def damaged_tables(draw: st.DrawFn, sample: Any) -> tuple[bytes, int]:
    """Draw a table with some cells replaced; and how many rows are hit."""
    rows = [row.split(",") for row in sample.rows]
    cells = ["", " ", "x", "-1", "0", "nan", "inf", "1e400", "9" * 400, "1.5", "\x00", '"', '""',
             '"a"', "0x10", "1_000", "٣", "1e18", "2023-11-16 18:17:03", "a,b"]  # fmt: skip
    hit = set()
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(1, len(rows) - 1))
        hit.add(place)
        rows[place][draw(st.integers(0, len(rows[place]) - 1))] = draw(
            st.sampled_from(cells) | st.text(st.characters(exclude_characters="\r\n"), max_size=4)
        )
    text = "".join(",".join(row) + "\n" for row in rows)
    return text.encode("utf-8", "replace"), len(hit)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_fields_of_any_value(samples, keep, name, data):
    sample = samples[name]
    damaged = damaged_tables if sample.table else damaged_objects
    content, hit = data.draw(damaged(sample))
    found = check(content, keep, sample, name)
    joined = name == "generic" and b'"' in content  # two stray quotes join the rows between them
    if sample.independent and found is not None and name != "dynamo" and not joined:
        kept = found.tally.read + found.tally.excluded.total()
        assert kept >= len(sample.lines()) - sample.table - hit


@st.composite
def mutated(draw: st.DrawFn, lines: tuple[bytes, ...]) -> bytes:
    """Draw a file: lines doubled, dropped, swapped or put in; bytes flipped; the end cut off."""
    whole = list(lines)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(whole)))
        action = draw(st.sampled_from(["double", "drop", "insert", "swap"]))
        if action == "insert" or not 0 < place < len(whole):
            whole.insert(place, draw(st.sampled_from(RAW) | st.binary(max_size=20)))
        elif action == "double":
            whole.insert(place, whole[place])
        elif action == "drop":
            del whole[place]
        else:
            whole[place - 1], whole[place] = whole[place], whole[place - 1]
    content = bytearray(b"\n".join([*whole, b""]))
    for _ in range(draw(st.integers(0, 5))):
        if content:
            place = draw(st.integers(0, len(content) - 1))
            content[place] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_bytes_and_lines_of_any_kind(samples, keep, name, data):
    sample = samples[name]
    content = data.draw(mutated(tuple(sample.lines())))
    check(content, keep, sample, name)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_detected_is_read_or_refused(samples, keep, data):
    name = data.draw(st.sampled_from(FORMATS))
    content = data.draw(mutated(tuple(samples[name].lines())) | st.binary(max_size=200))
    found = read(content, keep, None, data.draw(st.booleans()))
    if isinstance(found, Reading):
        assert len(found.trace) == found.tally.read


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("raw", [one for one in RAW if one.strip()], ids=range(11))
def test_a_monstrous_line_costs_itself_alone(samples, keep, name, raw):
    sample = samples[name]
    content = b"\n".join([*sample.lines(), raw, b""])
    found = check(content, keep, sample, name)
    assert found is not None
    assert found.tally.read == sample.requests


REAL = {
    "mooncake": "traces/mooncake/conversation_trace.jsonl",
    "azure": "traces/azure2023/AzureLLMInferenceTrace_code.csv",
    "lmcache-agent": "traces/agentic/miniswe_lengths_hashes_b16.jsonl",
    "kv-cache-tester": "traces/claude_code/claude_code_traces_710.compact.jsonl.zst",
}
LINES = {"mooncake": 40, "azure": 60, "lmcache-agent": 40, "kv-cache-tester": 3}


@pytest.fixture(scope="session")
def real_lines() -> Any:
    """Return a function that returns the first lines of a real log, decompressed."""
    import functools

    from tierlab.traces.log import Log

    @functools.cache
    def lines(path: str, number: int) -> tuple[bytes, ...]:
        read_lines = (line for _, line in Log(path, "TRACE").lines())
        return tuple(line for _, line in zip(range(number), read_lines, strict=False))

    return lines


@pytest.mark.parametrize("name", REAL)
@pytest.mark.shared(*REAL.values())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_real_logs(samples, keep, real_lines, shared_dir, name, data):
    lines = real_lines(str(shared_dir / REAL[name]), LINES[name])
    check(data.draw(mutated(lines)), keep, samples[name], name)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.shared(REAL["kv-cache-tester"])
def test_a_real_compressed_log_cut_short(shared_dir, keep, kept):
    whole = (shared_dir / REAL["kv-cache-tester"]).read_bytes()
    for skip_bad in (False, True):
        found = read(whole[: int(len(whole) * kept)], keep, None, skip_bad)
        assert isinstance(found, BadInput)
        assert "damaged or cut short" in found.line()


@pytest.mark.shared(REAL["mooncake"])
def test_a_real_log_with_every_hundredth_line_spoilt(shared_dir, keep):
    lines = (shared_dir / REAL["mooncake"]).read_bytes().splitlines()
    random = np.random.default_rng(7)
    spoilt = random.choice(len(lines), len(lines) // 100, replace=False)
    for place in spoilt:
        cut = int(random.integers(1, len(lines[place])))
        lines[place] = lines[place][:cut]
    found = read(b"\n".join(lines), keep, None, True)
    assert isinstance(found, Reading)
    assert found.tally.skipped == len(spoilt) == 120
    assert found.tally.read == len(lines) - 120
