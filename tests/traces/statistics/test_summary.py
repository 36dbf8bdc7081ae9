"""The whole summary: of a small trace in closed form, of the public traces as published."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.traces.read import read_trace
from tierlab.traces.statistics.spread import spread
from tierlab.traces.statistics.summary import KvModel, measure, summary

LLAMA_70B = KvModel("Llama-3.1-70B", 327_680.0)


def test_a_small_trace(hand_made):
    trace = hand_made((0, 0, [1, 2]), (10, 0, [1, 2, 3]), (20, 1, [1, 9]), extra=5)
    told = summary(measure(trace, KvModel("toy", 100.0)))
    assert told["requests"] == 3
    assert told["input_tokens"] == {"total": 85, **spread(np.array([25, 35, 25]))}
    assert told["arrivals"]["duration_s"] == 20
    assert told["arrivals"]["requests_per_s"] == 3 / 20
    assert told["arrivals"]["tick_s"] is None
    blocks = told["blocks"]
    assert (blocks["references"], blocks["unique"], blocks["unique_tokens"]) == (7, 4, 40)
    assert blocks["prefix_reuse"] == 3 / 7
    assert blocks["token_reuse"] == pytest.approx(30 / 85)
    assert blocks["new_tokens"]["max"] == 25
    sessions = told["sessions"]
    assert sessions["number"] == 2
    assert sessions["alone_share"] == 1 / 3
    assert sessions["requests"]["max"] == 2
    assert sessions["gap_s"] == spread(np.array([10.0]))
    assert sessions["kv_tokens"]["max"] == 30
    assert told["model"]["working_set_bytes"] == 4000
    assert told["model"]["block_bytes"] == 1000
    assert told["model"]["session_kv_bytes"]["max"] == 3000


def test_without_block_ids_a_session_needs_its_longest_turn(hand_made):
    told = summary(measure(hand_made((0, 0, []), (1, 0, []), extra=7), LLAMA_70B))
    assert told["blocks"] is None
    assert told["sessions"]["kv_tokens"]["max"] == 7 + 2
    assert told["sessions"]["kv_tokens_from"] == "longest prompt and its answer"
    assert told["model"]["working_set_bytes"] is None


def test_sessions_that_each_start_at_zero_have_no_rate(hand_made):
    told = summary(measure(hand_made((0, 0, [1]), (0, 1, [2]), (5, 0, [1]))))
    arrivals = told["arrivals"]
    assert arrivals["starts_known"] is False
    assert (arrivals["duration_s"], arrivals["requests_per_s"]) == (None, None)
    assert told["sessions"]["open"] is None
    assert told["sessions"]["duration_s"]["max"] == 5


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_trace_is_told_in_strict_json(any_trace, data):
    told = summary(measure(data.draw(any_trace()), LLAMA_70B))
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], (None,) * 5), ([4], (4, 4, 4, 4, 4)), (range(101), (50, 50, 90, 99, 100))],
)
def test_spread(values, expected):
    assert tuple(spread(np.array(values)).values()) == expected


def told_of(path, **read):
    trace = read_trace(str(path), jitter=False, **read)
    spread_s = read_trace(str(path), **read).arrival_s
    return summary(measure(trace, LLAMA_70B, spread_s))


def quantiles(found, *names):
    """Return quantiles cut to whole numbers, as the traces' page prints them."""
    return [int(found[name]) for name in names or ("p50", "p90", "p99", "max")]


@pytest.mark.shared("traces/mooncake")
def test_mooncake_as_published(shared_dir):
    told = told_of(shared_dir / "traces/mooncake/conversation_trace.jsonl")
    assert told["requests"] == 12_031
    assert round(told["arrivals"]["duration_s"]) == 3_537
    assert round(told["arrivals"]["requests_per_s"], 2) == 3.40
    assert quantiles(told["input_tokens"]) == [6_909, 27_367, 85_400, 126_195]
    assert quantiles(told["output_tokens"]) == [350, 597, 1_118, 2_000]
    assert round(told["blocks"]["prefix_reuse"], 3) == 0.366
    assert told["blocks"]["unique"] == 182_790
    assert told["arrivals"]["distinct_times"] == 1_180
    assert told["arrivals"]["most_at_once"] == 28
    assert told["arrivals"]["tick_s"] == pytest.approx(3, abs=0.01)
    assert told["sessions"]["alone_share"] == 1
    assert 0.9 < told["arrivals"]["gap_variation"] < 1.1  # spread over the ticks, near Poisson


@pytest.mark.shared("traces/azure2023")
@pytest.mark.parametrize(
    ("name", "requests", "duration_s", "rate", "inputs", "outputs"),
    [
        ("code", 8_819, 3_436, 2.57, [1_469, 5_187, 7_436, 7_437], [13, 55, 251, 1_899]),
        ("conv", 19_366, 3_502, 5.53, [1_020, 2_734, 4_142, 14_050], [129, 424, 601, 1_000]),
    ],
)
def test_azure_as_published(shared_dir, name, requests, duration_s, rate, inputs, outputs):
    file = shared_dir / f"traces/azure2023/AzureLLMInferenceTrace_{name}.csv"
    told = told_of(file)
    assert told["requests"] == requests
    assert round(told["arrivals"]["duration_s"]) == duration_s
    assert round(told["arrivals"]["requests_per_s"], 2) == rate
    assert quantiles(told["input_tokens"]) == inputs
    assert quantiles(told["output_tokens"]) == outputs
    assert told["blocks"] is None


@pytest.mark.shared("traces/claude_code")
def test_claude_code_as_published(shared_dir):
    file = shared_dir / "traces/claude_code/claude_code_traces_710.compact.jsonl.zst"
    told = told_of(file)
    assert told["requests"] == 49_334
    assert quantiles(told["input_tokens"]) == [103_659, 233_633, 498_518, 894_371]
    assert quantiles(told["output_tokens"]) == [216, 898, 3_686, 18_195]
    blocks = told["blocks"]
    assert (blocks["references"], blocks["unique"]) == (94_310_647, 3_450_959)
    assert round(blocks["prefix_reuse"], 3) == 0.963
    ttl = {one["ttl_s"]: round(one["prefix_reuse"], 3) for one in blocks["ttl"]}
    assert (ttl[300.0], ttl[3600.0]) == (0.916, 0.960)
    assert quantiles(blocks["new_tokens"], "p50", "p99") == [727, 94_289]
    sessions = told["sessions"]
    assert sessions["number"] == 710
    assert int(sessions["duration_s"]["p50"] / 60) == 59
    assert [round(sessions["gap_s"][mark]) for mark in ("p50", "p90", "p99")] == [17, 129, 2_134]
    assert round(sessions["first_input_tokens"]["max"], -3) == 852_000
    kv = told["model"]["session_kv_bytes"]
    assert kv["p50"] / 1e9 == pytest.approx(69, rel=0.01)
    assert int(kv["max"] / 1e9) == 780
