"""What each format means: clocks, sessions, blocks, and what is no request."""

import copy
import json

import numpy as np

from tierlab.traces.read import read_log, read_trace
from tierlab.traces.readers import registry


def test_aiperf_is_recognised_by_its_own_fields(keep, refusal):
    for row in (
        {"timestamp": 1000, "input_length": 10, "output_length": 4},
        {"input_length": 10, "output_length": 4},
        {"session_id": "a", "delay": 5, "input_length": 10, "output_length": 4},
    ):
        trace = read_trace(keep([row, row]))
        assert trace.block_tokens == 0 or trace.block_counts().tolist() == [1, 1]
        assert trace.arrival_s[-1] in (0, 0.005)
    line = refusal(keep([{"text_input": "Hello", "output_length": 4}]))
    assert "no field 'input_length'; accepted: token counts: text is not counted here" in line


def test_mooncakes_block_ids_and_aiperfs_whole_prompts_agree(keep, samples):
    """A session whose rows repeat the prompt so far is read as it stands."""
    rows = [
        {"session_id": "a", "timestamp": 0, "input_length": 1100, "output_length": 9,
         "hash_ids": [1, 2, 3]},
        {"session_id": "a", "delay": 500, "input_length": 1600, "output_length": 9,
         "hash_ids": [1, 2, 4, 5]},
        {"session_id": "a", "delay": 500, "input_length": 600, "output_length": 9,
         "hash_ids": [1, 9]},
    ]  # fmt: skip
    trace = read_trace(keep(rows))
    assert trace.input_tokens.tolist() == [1100, 1600, 600]
    first, second, third = (trace.blocks(row).tolist() for row in range(3))
    assert first[:2] == second[:2]
    assert third[0] == first[0]
    assert len({*first, *second, *third}) == 6


def test_aiperfs_turns_are_what_the_user_adds(keep):
    rows = [
        {"session_id": "a", "timestamp": 1000, "input_length": 1000, "output_length": 100,
         "hash_ids": [1, 2]},
        {"session_id": "a", "delay": 2500, "input_length": 300, "output_length": 50},
        {"session_id": "a", "input_length": 10, "output_length": 5},
        {"session_id": "b", "input_length": 1000, "output_length": 1, "hash_ids": [1, 7]},
    ]  # fmt: skip
    trace = read_trace(keep(rows))
    assert trace.arrival_s.tolist() == [0.0, 2.5, 2.5, 2.5]
    assert trace.input_tokens.tolist() == [1000, 1400, 1460, 1000]
    assert trace.turn.tolist() == [0, 1, 2, 0]
    np.testing.assert_array_equal(trace.think_s, [np.nan, 2.5, 0.0, np.nan])
    ids = [trace.blocks(row).tolist() for row in range(4)]
    assert [len(one) for one in ids] == [2, 3, 3, 2]
    assert ids[1][0] == ids[0][0] == ids[3][0]  # the one block that 1,000 tokens fill
    assert ids[2][:2] == ids[1][:2]  # 1,400 tokens fill two
    assert len({one for row in ids for one in row}) == 1 + 1 + 2 + 1 + 1


def test_plain_mooncake_stays_plain_mooncake(samples, keep):
    assert read_trace(keep(samples["mooncake"].data())).think_s.tolist() != [0.0] * 8
    reader = registry.load("aiperf")
    assert not reader.detect(samples["mooncake"].data(), None)


def test_bailians_sessions_turns_and_blocks_after_equal_prefixes(keep):
    def row(chat, parent, turn, tokens, ids):
        return {"chat_id": chat, "parent_chat_id": parent, "timestamp": chat * 1.5, "type": "text",
                "turn": turn, "input_length": tokens, "output_length": 2, "hash_ids": ids}  # fmt: skip

    rows = [row(1, -1, 1, 32, [5, 6]), row(2, -1, 1, 32, [9, 6]), row(3, 1, 2, 40, [5, 6, 7]),
            row(4, 99, 3, 16, [5]), row(5, 3, 3, 16, [5])]  # fmt: skip
    trace = read_trace(keep(rows))
    assert trace.session.tolist() == [0, 1, 0, 2, 0]
    assert trace.turn.tolist() == [0, 0, 1, 2, 2]
    assert trace.arrival_s.tolist() == [0.0, 1.5, 3.0, 4.5, 6.0]
    ids = [trace.blocks(row).tolist() for row in range(5)]
    assert ids[2][:2] == ids[0]
    assert ids[1][1] != ids[0][1], "the same tokens after others are another block"
    assert ids[3] == ids[4] == ids[0][:1]


def test_dynamos_64_bit_hashes_sessions_and_parents(samples, keep):
    trace = read_trace(keep(samples["dynamo"].data()))
    assert (trace.block_tokens, trace.partial_tail) == (4, True)
    ids = [trace.blocks(row).tolist() for row in range(len(trace))]
    assert {tuple(one[:2]) for one in ids} == {(0, 1)}
    assert len({one[2] for one in ids}) == len(trace)
    assert trace.sessions == 2

    def event(session, parent, received_ms, tokens):
        context = {"session_id": session} | ({"parent_session_id": parent} if parent else {})
        request = {"request_received_ms": received_ms, "input_tokens": tokens, "output_tokens": 1}
        return {"schema": "dynamo.request.trace.v1", "event_type": "request_end",
                "agent_context": context, "request": request}  # fmt: skip

    log = keep([event("a", "", 0, 1), event("a", "", 10, 2), event("b", "a", 20, 3),
                event("a", "", 15, 4), event("b", "a", 30, 5)])  # fmt: skip
    trace = read_trace(log)
    assert trace.input_tokens.tolist() == [1, 2, 4, 3, 5]
    assert trace.parent.tolist() == [-1, -1, -1, 1, -1]
    assert trace.block_tokens == 0


def test_a_dynamo_request_without_hashes_shares_nothing(samples, keep, changed):
    rows = list(samples["dynamo"].rows)
    rows[2] = changed(rows[2], ("request", "replay"), ...)
    trace = read_trace(keep(rows))
    counts = np.unique(np.concatenate([trace.blocks(r) for r in range(8)]), return_counts=True)[1]
    assert sorted(counts.tolist()) == [1] * 10 + [7, 7]


def test_sglang_without_the_servers_clock(samples, keep, changed):
    rows = [changed(row, ("out", "meta_info", "request_received_ts"), ...)
            for row in samples["sglang"].rows[1:]]  # fmt: skip
    rows[0]["timestamp"] = "2025-10-14T05:20:37.123456"
    rows[1]["out"]["meta_info"]["finish_reason"] = {"type": "abort"}
    read = read_log(keep(rows))
    assert read.trace.arrival_s.tolist() == [0.0] + [1.0] * 6
    assert read.tally.excluded == {"aborted": 1}


def test_litellm_as_a_list_and_under_its_key(samples, keep, trace_differences, refusal, changed):
    rows = samples["litellm"].rows
    plain = read_trace(keep(rows))
    assert plain.sessions == 4
    indented = read_trace(keep(json.dumps(rows, indent=2).encode()))
    wrapped = read_trace(keep([{"kwargs": 1, "standard_logging_object": row} for row in rows]))
    assert trace_differences(plain, indented) == trace_differences(plain, wrapped) == []
    rows = [changed(rows[0], ("startTime",), "2023-11-14T22:13:20.5+00:00"), rows[1]]
    line = refusal(keep(json.dumps([*rows, 5]).encode()))
    assert "log.txt: object 3: a JSON int" in line


def test_otels_nanoseconds_are_whole_and_its_sessions_named(keep, samples):
    spans = samples["otel"].rows[0]["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for span in spans[:3]:
        span["attributes"].append(
            {"key": "gen_ai.conversation.id", "value": {"stringValue": "one"}}
        )
    trace = read_trace(keep(samples["otel"].data()))
    assert trace.arrival_s.tolist() == [0.1 * i for i in range(8)] or np.allclose(
        trace.arrival_s, 0.1 * np.arange(8), atol=1e-9, rtol=0
    )
    assert trace.sessions == 6
    for span in spans[:3]:
        span["attributes"].pop()


def test_a_span_that_counts_cached_tokens_apart_is_refused(keep, samples, refusal):
    export = copy.deepcopy(samples["otel"].rows[0])
    span = export["resourceSpans"][0]["scopeSpans"][0]["spans"][2]
    cached = {"key": "gen_ai.usage.cache_read.input_tokens", "value": {"intValue": "500"}}
    span["attributes"].append(cached)
    line = refusal(keep([export]))
    assert "spans[2].attributes.gen_ai.usage.cache_read.input_tokens = 500" in line
    assert "at most gen_ai.usage.input_tokens = 72" in line


def test_a_bench_result_whose_lists_disagree(samples, keep, refusal, changed):
    bench = dict(samples["vllm-bench"].rows[0])
    assert "itls has 3 values" in refusal(keep([bench | {"itls": [[]] * 3}]))
    assert "no field 'start_times'" in refusal(keep([changed(bench, ("start_times",), ...)]))
    assert "request 4: input_lens = 'x'" in refusal(
        keep([bench | {"input_lens": [1, 2, 3, 4, "x", *range(6, 11)]}])
    )
    assert "log.txt:2: a second result" in refusal(keep([bench, bench]))


def test_burstgpts_sessions_and_ticks(keep):
    header = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens"
    rows = [f"{i // 4},{'ab'[i % 2]},1.5,m,10,5,15" for i in range(40)]
    trace = read_trace(keep([header, *rows]))
    assert trace.sessions == 2
    assert len(np.unique(trace.arrival_s)) == 40
    assert (np.floor(trace.arrival_s) == np.arange(40) // 4).all()


def test_sessions_of_global_ids_share_and_local_ones_do_not(samples, keep, refusal):
    rows = list(samples["kv-cache-tester"].rows)
    local = read_trace(keep(rows))
    shared = read_trace(keep([row | {"hash_id_scope": "global"} for row in rows]))
    blocks = [len({i for r in range(8) for i in t.blocks(r).tolist()}) for t in (local, shared)]
    assert blocks == [12, 6]
    line = refusal(keep([rows[0], rows[1] | {"hash_id_scope": "global"}]))
    assert "log.txt:2: hash_id_scope = 'global'; accepted: 'local', as before" in line


def test_a_session_in_an_indented_document(samples, keep, trace_differences):
    row = samples["kv-cache-tester"].rows[0]
    one = read_trace(keep([row]))
    assert trace_differences(one, read_trace(keep(json.dumps(row, indent=1).encode()))) == []


def test_a_bad_request_of_a_session_leaves_the_others(samples, keep, refusal, changed):
    row = samples["kv-cache-tester"].rows[0]
    cases = {
        ("requests", 0, "in"): (-1, 3, 1),
        ("requests", 1, "t"): ("x", 2, 2),
        ("requests", 1, "requests", 0, "t"): (9.0, 3, 1),
        ("block_size",): (0, 0, 4),
    }
    for path, (value, read, skipped) in cases.items():
        log = keep([samples["kv-cache-tester"].rows[1], changed(row, path, value)])
        told = read_log(log, skip_bad=True)
        assert (told.tally.read - 4, told.tally.skipped) == (read, skipped), path
    assert "requests[1].requests[0].t" in refusal(
        keep([changed(row, ("requests", 1, "requests", 0, "t"), None)])
    )
