"""NVIDIA Dynamo's request traces, ``dynamo.request.trace.v1`` (github.com/ai-dynamo/dynamo).

Fields: ``lib/llm/src/request_trace/types.rs`` and ``replay.rs`` there (Apache-2.0).

An event a line, bare or as ``{"timestamp", "event"}``. ``request_end`` is a request: ``request``
has ``request_received_ms`` (Unix ms), ``input_tokens``, ``output_tokens`` and ``replay`` with
``trace_block_size`` and ``input_sequence_hashes``: 64-bit hashes of a block and all before it,
ceil(input_length / size) of them. ``agent_context`` has ``session_id`` and ``parent_session_id``.
Events of tools and payloads are excluded, and requests that ended without ``output_tokens``.

Written when a request ends, so rows are sorted by arrival. A subagent's parent is the last
request of the parent session that had arrived before it. The prompt is ``replay.input_length``
where there is one, for the hashes are of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tierlab.traces.log import Log
from tierlab.traces.readers import jsonl
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.fields import Fields
from tierlab.traces.readers.numbering import Numbering, in_runs
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Blocks, Row, gathered, parsed

SCHEMA = "dynamo.request.trace.v1"
_COLUMNS = ("session", "parent")
_HASHES = 2**64
_REMEMBERED = 16  # last requests of each session, among which a subagent's parent is looked for
_FIELDS = {
    "arrival_s": "request.request_received_ms",
    "input_tokens": "request.input_tokens",
    "output_tokens": "request.output_tokens",
    "block_ids": "request.replay.input_sequence_hashes",
}


class Dynamo(Reader):
    """Reader of Dynamo's request traces."""

    name = "dynamo"
    summary = "Dynamo dynamo.request.trace.v1: request_end events, sessions, block hashes"
    extensions = (".jsonl",)

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for the schema's name."""
        return head.lstrip().startswith(b"{") and f'"{SCHEMA}"'.encode() in head

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks; memory holds a number per distinct block and session."""
        parser = _Parser(log)
        rows = parsed(log, jsonl.objects(log), parser.row)
        yield from gathered(log, rows, Clock("ms"), _FIELDS, _COLUMNS, parser.blocks)


@dataclass(slots=True)
class _Parser:
    log: Log
    rows: int = 0
    numbering: Numbering = field(default_factory=Numbering)
    blocks: Blocks = field(default_factory=lambda: Blocks(0, True))
    last: dict[Hashable, deque[tuple[float, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.blocks.numbering = self.numbering

    def row(self, line: int, record: dict[str, Any]) -> Row | None:
        event = Fields(self.log, line, record)
        event = event.inner("event") if event.has("event") else event
        if not _is_request(event):
            return None
        request = event.inner("request")
        if not request.has("output_tokens"):
            self.log.tally.exclude("no output_tokens: ended without an answer")
            return None
        time_ms, output = _received_ms(event, request), request.integer("output_tokens", 0)
        context = event.inner("agent_context") if event.has("agent_context") else None
        session = context.key("session_id") if context else None
        spawner = context.key("parent_session_id") if context else None
        tokens, hashes = self._prompt(request)
        parent = self._parent(session, spawner, time_ms)
        start, count = in_runs(self.numbering.plain(hashes))
        if session is not None:
            kept = self.last.setdefault(session, deque(maxlen=_REMEMBERED))
            kept.append((time_ms, self.rows))
        self.rows += 1
        return Row(line, time_ms, tokens, output, session, parent=parent, start=start, count=count)

    def _prompt(self, request: Fields) -> tuple[int, list[int]]:
        """Return the prompt's tokens and hashes; none where the request has none."""
        if not request.has("replay"):
            return request.integer("input_tokens", 1), []
        replay = request.inner("replay")
        tokens, size = replay.integer("input_length", 1), replay.integer("trace_block_size", 1)
        if size >= 2**31 or self.blocks.block_tokens not in (0, size):
            known = self.blocks.block_tokens
            raise replay.fault("trace_block_size", f"{known or 'less than 2**31'}, as before")
        hashes = replay.ids("input_sequence_hashes", _HASHES)
        replay.blocks("input_sequence_hashes", len(hashes), tokens, size, tail=True)
        self.blocks.block_tokens = size
        return tokens, hashes

    def _parent(self, session: Hashable, spawner: Hashable, time_ms: float) -> int:
        if session is None or session in self.last or spawner == session:
            return -1
        for before_ms, row in reversed(self.last.get(spawner, ())):
            if before_ms <= time_ms:
                return row
        return -1


def _is_request(event: Fields) -> bool:
    if event.row.get("schema") != SCHEMA:
        raise event.fault("schema", repr(SCHEMA))
    kind = event.row.get("event_type")
    if not isinstance(kind, str):
        raise event.fault("event_type", "request_end, or another event's name")
    if kind != "request_end":
        event.log.tally.exclude("an event of a tool or a payload, no request_end")
    return kind == "request_end"


def _received_ms(event: Fields, request: Fields) -> float:
    ended = event.has("event_time_unix_ms") and request.has("total_time_ms")
    if request.has("request_received_ms") or not ended:
        return request.number("request_received_ms")
    return event.number("event_time_unix_ms") - request.number("total_time_ms")


READER = Dynamo()
