"""Mooncake: the real log, and every way a line can be wrong."""

import time

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.read import read_trace

REAL = "traces/mooncake/conversation_trace.jsonl"


def test_a_small_log(mooncake):
    trace = read_trace(mooncake({}, {"timestamp": 3000, "input_length": 513, "hash_ids": [1, 7]}))
    assert trace.block_tokens == 512
    assert trace.partial_tail
    assert trace.blocks(1).tolist() == [1, 7]
    assert trace.session.tolist() == [0, 1]
    assert np.isnan(trace.think_s).all()


def test_jitter_is_seeded_and_can_be_left_out(mooncake):
    path = mooncake(*({"timestamp": 3000 * (i // 10)} for i in range(40)))
    one, same, other = (read_trace(path, seed=seed).arrival_s for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()
    raw = read_trace(path, jitter=False).arrival_s
    assert raw.tolist() == [3.0 * (i // 10) for i in range(40)]
    assert ((one >= raw) & (one < raw + 3.0)).all()


def test_a_log_that_starts_late_starts_at_zero(mooncake):
    path = mooncake({"timestamp": 1_000_000}, {"timestamp": 1_003_000})
    assert read_trace(path, jitter=False).arrival_s.tolist() == [0.0, 3.0]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('{"timestamp": 1,', "log.jsonl:2: invalid JSON"),
        ("[1, 2]", "log.jsonl:2: a JSON list"),
        ('{"a": "\udc80"}', "log.jsonl:2: no field 'timestamp'"),
        ({"timestamp": ...}, "log.jsonl:2: no field 'timestamp'"),
        ({"hash_ids": ...}, "log.jsonl:2: no field 'hash_ids'"),
        ({"timestamp": "soon"}, "log.jsonl:2: timestamp = 'soon'"),
        ({"timestamp": float("nan")}, "log.jsonl:2: timestamp = nan; accepted: a finite number"),
        ({"timestamp": float("inf")}, "log.jsonl:2: timestamp = inf"),
        ({"timestamp": -3000}, "log.jsonl:2: timestamp is -3 s after .*order of arrival"),
        ({"input_length": 0, "hash_ids": []}, "log.jsonl:2: input_length = 0; accepted: an int"),
        ({"input_length": -5}, "log.jsonl:2: input_length = -5"),
        ({"input_length": 600.5}, "log.jsonl:2: input_length = 600.5; accepted: an integer"),
        ({"input_length": True}, "log.jsonl:2: input_length = True"),
        ({"input_length": None}, "log.jsonl:2: input_length = None"),
        ({"input_length": 10**30}, "log.jsonl:2: input_length = 1000"),
        ({"output_length": -1}, "log.jsonl:2: output_length = -1"),
        ({"hash_ids": [1]}, r"log.jsonl:2: hash_ids = 1 ids for 600 .*2 ids: ceil\(input / 512\)"),
        ({"hash_ids": 5}, "log.jsonl:2: hash_ids = 5; accepted: a list"),
        ({"hash_ids": [1, "x"]}, "log.jsonl:2: hash_ids = 'x'"),
        ({"hash_ids": [1, -2]}, "log.jsonl:2: hash_ids = -2"),
        ({"hash_ids": [1, 2**70]}, "log.jsonl:2: hash_ids = 1180591620717411303424"),
    ],
)
def test_a_bad_line_is_told_by_file_line_field_and_value(mooncake, row, expected):
    if isinstance(row, str):
        row = row.encode("utf-8", "replace").decode()
    with pytest.raises(BadInput, match=expected):
        read_trace(mooncake({}, row), format="mooncake")


def test_qwen_bailian_is_not_taken_for_mooncake(tmp_path):
    line = '{"chat_id": 1, "timestamp": 0, "input_length": 5, "output_length": 5, "hash_ids": [1]}'
    (tmp_path / "qwen.jsonl").write_text(line)
    from tierlab.traces.readers.mooncake import READER

    assert not READER.detect(line.encode(), tmp_path / "qwen.jsonl")


@pytest.mark.shared(REAL)
def test_the_real_log_has_the_published_figures(shared_dir):
    trace = read_trace(str(shared_dir / REAL))
    assert len(trace) == 12_031
    assert trace.name == "conversation_trace"
    shares = [0.5, 0.9, 0.99, 1]  # the published quantiles are whole tokens, cut
    given = np.floor(np.quantile(trace.input_tokens, shares))
    made = np.floor(np.quantile(trace.output_tokens, shares))
    assert given.tolist() == [6909, 27367, 85400, 126195]
    assert made.tolist() == [350, 597, 1118, 2000]
    assert len(trace) / trace.arrival_s[-1] == pytest.approx(3.40, abs=0.005)


@pytest.mark.shared(REAL)
def test_the_real_log_has_the_published_prefix_reuse(shared_dir):
    trace = read_trace(str(shared_dir / REAL))
    seen: set[int] = set()
    hits = 0
    for row in range(len(trace)):
        ids = trace.blocks(row).tolist()
        hits += next((i for i, one in enumerate(ids) if one not in seen), len(ids))
        seen.update(ids)
    assert len(seen) == 182_790
    assert hits / trace.block_counts().sum() == pytest.approx(0.366, abs=0.0005)


@pytest.mark.shared(REAL)
def test_the_real_log_keeps_its_ticks(shared_dir):
    path = str(shared_dir / REAL)
    raw, moved = read_trace(path, jitter=False), read_trace(path, seed=5)
    assert np.unique(raw.arrival_s, return_counts=True)[1].max() == 28
    assert len(np.unique(raw.arrival_s)) == 1_180
    shift_s = moved.arrival_s - raw.arrival_s
    assert shift_s.min() >= 0
    assert shift_s.max() < 3.0
    assert len(np.unique(moved.arrival_s)) == len(moved)
    assert moved.run_start.tobytes() == raw.run_start.tobytes()


@pytest.mark.shared(REAL)
def test_the_real_log_loads_in_half_a_second(shared_dir):
    best_s = min(_timed(str(shared_dir / REAL)) for _ in range(3))
    assert best_s < 0.5


def _timed(path: str) -> float:
    begin = time.process_time()
    read_trace(path)
    return time.process_time() - begin
