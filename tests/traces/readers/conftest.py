"""A small sound log of every built-in format of lines, and what it holds."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REQUESTS = 8


@dataclass(frozen=True)
class Sample:
    """A sound log.

    Attributes
    ----------
    rows
        Objects, one a line; lines of text for a table, the header first.
    requests, excluded
        Records that are requests, and those that the format excludes.
    independent
        One bad record makes no other record bad.
    a_line
        Records that each line holds; 1 where a line is a record, 0 where they differ.
    """

    rows: tuple[Any, ...]
    requests: int = REQUESTS
    excluded: int = 0
    independent: bool = True
    a_line: int = 1

    @property
    def table(self) -> bool:
        return isinstance(self.rows[0], str)

    def lines(self) -> list[bytes]:
        return [(one if isinstance(one, str) else json.dumps(one)).encode() for one in self.rows]

    def data(self) -> bytes:
        return b"\n".join([*self.lines(), b""])


def _mooncake(i: int) -> dict[str, Any]:
    ids = [0, 1, i + 2]
    return {"timestamp": 3000 * i, "input_length": 1100, "output_length": 5, "hash_ids": ids}


def _aiperf(i: int) -> dict[str, Any]:
    row = {"session_id": f"s{i % 3}", "input_length": 600 + i, "output_length": 50}
    ids = {"hash_ids": [i % 3, 9 + i]} if i < 5 else {}
    return row | ids | ({"timestamp": 10.5 * i} if i < 3 else {"delay": 250})


def _bailian(i: int) -> dict[str, Any]:
    return {
        "chat_id": i,
        "parent_chat_id": i - 2 if i > 3 else -1,
        "timestamp": 0.25 * i,
        "input_length": 33 + i,
        "output_length": 7,
        "type": "text",
        "turn": 1 + max(0, (i - 2) // 2),
        "hash_ids": [5, 6, 7],
    }


def _dynamo(i: int) -> dict[str, Any]:
    request = {
        "request_id": f"r{i}",
        "request_received_ms": 1_700_000_000_000 + 100 * (i ^ 1),
        "input_tokens": 10,
        "output_tokens": 3,
        "replay": {
            "trace_block_size": 4,
            "input_length": 10,
            "input_sequence_hashes": [2**64 - 1, 17, 2**63 + i],
        },
    }
    event = {
        "schema": "dynamo.request.trace.v1",
        "event_type": "request_end",
        "event_time_unix_ms": 1_700_000_001_000 + 100 * i,
        "agent_context": {"session_id": f"a{i % 2}"},
        "request": request,
    }
    return {"timestamp": i, "event": event} if i % 2 else event


def _tool() -> dict[str, Any]:
    tool = {"tool_call_id": "c", "tool_class": "shell"}
    return {
        "schema": "dynamo.request.trace.v1",
        "event_type": "tool_end",
        "event_time_unix_ms": 1,
        "tool": tool,
    }


def _sglang(i: int, event: str = "request.finished") -> dict[str, Any]:
    meta = {
        "prompt_tokens": 100 + i,
        "completion_tokens": 12,
        "cached_tokens": 64,
        "e2e_latency": 0.5,
        "request_received_ts": 1_700_000_000.25 + 0.1 * (i ^ 1),
        "finish_reason": {"type": "stop"},
    }
    row = {"timestamp": "2025-10-14T05:20:38.123456", "event": event, "rid": f"r{i}", "obj": {}}
    return row | ({"out": {"meta_info": meta}} if event == "request.finished" else {})


def _litellm(i: int, **changed: object) -> dict[str, Any]:
    return {
        "id": f"c{i}",
        "trace_id": f"t{i // 2}",
        "call_type": "acompletion",
        "status": "success",
        "total_tokens": 60,
        "prompt_tokens": 50,
        "completion_tokens": 10,
        "startTime": 1_700_000_000.5 + (i ^ 1),
        "endTime": 1_700_000_009.0,
        "completionStartTime": 1_700_000_002.0,
        "cache_hit": None,
        "messages": [{"role": "user", "content": "hello"}],
    } | changed


def _span(i: int, **changed: object) -> dict[str, Any]:
    old = ("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens")
    new = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    given = dict(zip(old if i % 2 else new, (70 + i, 9), strict=True)) | changed
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    attributes = [
        {"key": name, "value": {kinds[type(one)]: str(one) if type(one) is int else one}}
        for name, one in given.items()
    ]
    start_ns = 1_700_000_000_000_000_001 + 10**8 * (i ^ 1)
    return {"name": "chat", "startTimeUnixNano": str(start_ns), "attributes": attributes}


def _export(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": list(spans)}]}]}


def _agentic(i: int) -> dict[str, Any]:
    return {
        "workload": "w",
        "session_id": f"s{i % 2}",
        "turn": i // 2,
        "timestamp_us": 1_760_428_436_442_742 + 1000 * (i ^ 1),
        "input_length": 50 + i,
        "output_length": 3,
        "hash_runs": [[10, 2], [20 + i, 1]],
    }


def _conversation(i: int) -> dict[str, Any]:
    def request(t: float, tokens: int, runs: list[list[int]]) -> dict[str, Any]:
        return {"t": t, "type": "n", "in": tokens, "out": 4, "think_time": 1.5, "hash_runs": runs}

    inner = [request(0.0, 64, [[7, 1]]), request(2.0, 130, [[7, 2]])]
    subagent = {"t": 3.0, "type": "subagent", "requests": inner}
    entries = [request(0.0, 200, [[1, 3]]), subagent, request(9.0 + i, 300, [[1, 3], [5, 1]])]
    return {"id": f"c{i}", "block_size": 64, "hash_id_scope": "local", "requests": entries}


def _bench() -> dict[str, Any]:
    size = REQUESTS + 2
    return {
        "date": "20251014-052038",
        "input_lens": [100 + i for i in range(size)],
        "output_lens": [10] * REQUESTS + [0, 5],
        "ttfts": [0.1] * size,
        "itls": [[0.01]] * size,
        "start_times": [5000.5 + 0.25 * (i ^ 1) for i in range(size)],
        "errors": [""] * (size - 1) + ["timeout"],
    }


def _azure(i: int) -> str:
    return f"2023-11-16 18:17:{i:02d}.9799600,{4808 + i},10"


def _rows(make: Callable[[int], Any]) -> tuple[Any, ...]:
    return tuple(make(i) for i in range(REQUESTS))


SAMPLES = {
    "mooncake": Sample(_rows(_mooncake)),
    "aiperf": Sample(_rows(_aiperf), independent=False),
    "bailian": Sample(_rows(_bailian)),
    "dynamo": Sample((*_rows(_dynamo), _tool()), excluded=1),
    "sglang": Sample((_sglang(0, "request.received"), *_rows(_sglang)), excluded=1),
    "litellm": Sample(
        (*_rows(_litellm), _litellm(8, status="failure"), _litellm(9, cache_hit=True)), excluded=2
    ),
    "otel": Sample(
        (
            _export(*map(_span, range(5))),
            _export(
                *map(_span, range(5, 8)), _span(8, **{"gen_ai.operation.name": "invoke_agent"})
            ),
        ),
        excluded=1,
        independent=False,
        a_line=0,
    ),
    "lmcache-agent": Sample(_rows(_agentic)),
    "kv-cache-tester": Sample((_conversation(0), _conversation(1)), independent=False, a_line=4),
    "vllm-bench": Sample((_bench(),), excluded=2, independent=False, a_line=10),
    "azure": Sample(("TIMESTAMP,ContextTokens,GeneratedTokens", *_rows(_azure))),
    "burstgpt": Sample(
        (
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
            *(f"{5 * i},ChatGPT,{400 + i},18,{418 + i},Conversation log" for i in range(REQUESTS)),
            "90,GPT-4,300,0,300,API log",
        ),
        excluded=1,
    ),
    "generic": Sample(
        (
            "arrival_s,prompt,prompt_tokens,completion_tokens",
            *(f"{i}.5,hi,{30 + i},4" for i in range(REQUESTS)),
        )
    ),
}


@pytest.fixture(scope="session")
def samples() -> dict[str, Sample]:
    return SAMPLES


@pytest.fixture(scope="session")
def keep(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that writes bytes, objects or lines to a file and returns its path."""
    folder = tmp_path_factory.mktemp("logs")

    def write(content: Any, name: str = "log.txt") -> str:
        path: Path = folder / name
        if not isinstance(content, bytes):
            rows = [one if isinstance(one, str) else json.dumps(one) for one in content]
            content = "".join(f"{row}\n" for row in rows).encode()
        path.write_bytes(content)
        return str(path)

    return write
