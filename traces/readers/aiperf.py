"""AIPerf's superset of Mooncake JSONL (github.com/ai-dynamo/aiperf, Apache-2.0).

Fields: `MooncakeTrace` in ``src/aiperf/dataset/loader/models.py`` there; sessions:
``docs/reference/conversation-context-mode.md``.

Beside Mooncake's fields ``session_id`` and ``delay`` (ms after the answer before), and
``timestamp`` (ms) and ``hash_ids`` (512-token blocks, named by their content) may be absent. Rows
with text in place of ``input_length`` hold no token counts and are refused.

A further row of a session is by that page a delta: what the user adds. Its prompt is all before
it, replies included, and the new tokens; the blocks that the earlier prompt filled keep their ids
and the others get ids of their own. Where a row repeats the ids of all blocks that the row before
it filled, it holds the whole prompt and stands as it is, as do the session's rows after it.

A row without a time arrives `delay` after the session's row before it (answers take no time in
the log), and a session's first one with the log's row before it: replay these closed-loop.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tierlab.traces.log import Log
from tierlab.traces.readers import jsonl
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.fields import Fields
from tierlab.traces.readers.mooncake import BLOCK_TOKENS, FIELDS
from tierlab.traces.readers.numbering import Numbering, head_of, in_runs
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Blocks, Row, gathered, parsed

_COLUMNS = ("session", "turn", "think_s")
_OWN = {"session_id", "delay", "text_input", "messages", "tools", "type", "extra"}
_ALL = _OWN | {"timestamp", "input_length", "output_length", "hash_ids"}
_OTHERS = {"chat_id", "timestamp_us", "hash_runs", "chat_ids"}


class AIPerf(Reader):
    """Reader of AIPerf's superset of Mooncake JSONL."""

    name = "aiperf"
    summary = "AIPerf's Mooncake JSONL: session_id, delay, optional timestamp and hash_ids"
    extensions = (".jsonl",)

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for a first row of Mooncake's names that is no plain Mooncake."""
        keys = _names(head)
        plain = {"timestamp", "hash_ids"} <= keys and not keys & {"session_id", "delay"}
        ours = keys <= _ALL or (keys & {"hash_ids", "delay"} and not keys & _OTHERS)
        inputs = keys & {"input_length", "text_input", "messages"}
        others = keys & {"output_length", "hash_ids", "delay"}
        return bool(inputs and others and ours and not plain)

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks; memory holds the last prompt's ids of every session."""
        parser = _Parser(log)
        rows = parsed(log, jsonl.objects(log), parser.row)
        blocks = Blocks(BLOCK_TOKENS, True, parser.numbering)
        yield from gathered(log, rows, Clock("ms"), FIELDS, _COLUMNS, blocks)


def _names(head: bytes) -> set[str]:
    try:
        row = json.loads(head.lstrip().split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return set()
    return set(row) if isinstance(row, dict) else set()


@dataclass(slots=True)
class _Turn:
    """The last turn of a session."""

    turn: int
    time_ms: float
    prompt: int
    output: int
    names: Sequence[int]
    start: Sequence[int]
    count: Sequence[int]
    whole: bool


@dataclass(slots=True)
class _Parser:
    log: Log
    numbering: Numbering = field(default_factory=Numbering)
    last: dict[Hashable, _Turn] = field(default_factory=dict)
    time_ms: float = 0

    def row(self, line: int, record: dict[str, Any]) -> Row:
        one = Fields(self.log, line, record)
        session = one.key("session_id")
        before = self.last.get(session) if session is not None else None
        turn = self._turn(one, before)
        self.time_ms = turn.time_ms
        if session is not None:
            self.last[session] = turn
        return Row(
            line,
            turn.time_ms,
            turn.prompt,
            turn.output,
            session,
            turn.turn,
            _think_s(one, before),
            start=turn.start,
            count=turn.count,
        )

    def _turn(self, one: Fields, before: _Turn | None) -> _Turn:
        if not one.has("input_length") and (one.has("text_input") or one.has("messages")):
            raise one.fault("input_length", "token counts: text is not counted here")
        tokens, output = one.integer("input_length", 1), one.integer("output_length", 0)
        names = one.ids("hash_ids") if one.has("hash_ids") else []
        if names:
            one.blocks("hash_ids", len(names), tokens, BLOCK_TOKENS, tail=True)
        time_ms, number = self._time_ms(one, before), before.turn + 1 if before else 0
        whole = before is None or before.whole or _repeats(names, before)
        if before is None or whole:
            start, count = self._ids(names, tokens)
        else:
            tokens += before.prompt + before.output
            if tokens >= jsonl.LARGEST:
                raise one.fault("input_length", "a conversation below 4e18 tokens")
            start, count = self._grown(before, tokens)
        return _Turn(
            number, time_ms, tokens, output, names, start, count, whole and before is not None
        )

    def _time_ms(self, one: Fields, before: _Turn | None) -> float:
        if not one.has("timestamp"):
            return before.time_ms + _delay_ms(one) if before else self.time_ms
        time_ms = one.number("timestamp")
        if before and time_ms < before.time_ms:
            accepted = f"{before.time_ms:.9g} or more: turns of a session stand in order"
            raise one.fault("timestamp", accepted)
        return time_ms

    def _ids(self, names: Sequence[int], tokens: int) -> tuple[Sequence[int], Sequence[int]]:
        if not names:
            return self.numbering.fresh(-(-tokens // BLOCK_TOKENS))
        return in_runs(self.numbering.chained(names))

    def _grown(self, before: _Turn, tokens: int) -> tuple[Sequence[int], Sequence[int]]:
        filled = before.prompt // BLOCK_TOKENS
        start, count = head_of(before.start, before.count, filled)
        new, many = self.numbering.fresh(-(-tokens // BLOCK_TOKENS) - filled)
        return start + new, count + many


def _repeats(names: Sequence[int], before: _Turn) -> bool:
    filled = before.prompt // BLOCK_TOKENS
    return filled > 0 and len(names) >= filled and names[:filled] == before.names[:filled]


def _delay_ms(one: Fields) -> float:
    delay_ms = one.number("delay") if one.has("delay") else 0
    if delay_ms < 0:
        raise one.fault("delay", "milliseconds of 0 or more")
    return delay_ms


def _think_s(one: Fields, before: _Turn | None) -> float:
    delay_s = _delay_ms(one) / 1e3
    known = before is not None and (one.has("delay") or not one.has("timestamp"))
    return delay_s if known else math.nan


READER = AIPerf()
