"""Lengths and hashes of LMCache's agent traces (github.com/LMCache/lmcache-agent-trace).

``{"workload", "session_id", "turn", "timestamp_us", "input_length", "output_length",
"hash_runs": [[first, count], ...]}`` a line: the published traces hold texts, this form of them
the lengths and floor(input / 16) prefix-chained block ids, global, as runs of consecutive ids.
The stamps of a session do not follow its turns, so a row is no arrival in order: rows are sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tierlab.traces.log import Log
from tierlab.traces.readers import jsonl
from tierlab.traces.readers.cache_tester import run_pairs
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.fields import Fields
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Blocks, Row, gathered, parsed

BLOCK_TOKENS = 16
_KEYS = (b'"timestamp_us"', b'"input_length"', b'"output_length"', b'"hash_runs"')
_FIELDS = {
    "arrival_s": "timestamp_us",
    "input_tokens": "input_length",
    "output_tokens": "output_length",
    "block_ids": "hash_runs",
}


class Agentic(Reader):
    """Reader of lengths and block runs of LMCache's agent traces."""

    name = "lmcache-agent"
    summary = "LMCache agent traces: session_id, turn, timestamp_us, hash_runs of 16-token blocks"
    extensions = (".jsonl",)

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for the keys."""
        return head.lstrip().startswith(b"{") and all(key in head for key in _KEYS)

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks with global block ids."""
        rows = parsed(log, jsonl.objects(log), partial(_row, log))
        columns = ("session", "turn")
        yield from gathered(log, rows, Clock("us"), _FIELDS, columns, Blocks(BLOCK_TOKENS, False))


def _row(log: Log, line: int, record: dict[str, Any]) -> Row:
    one = Fields(log, line, record)
    tokens, output = one.integer("input_length", 1), one.integer("output_length", 0)
    start, count = run_pairs(one, "hash_runs")
    one.blocks("hash_runs", sum(count), tokens, BLOCK_TOKENS, tail=False)
    return Row(
        line,
        one.number("timestamp_us"),
        tokens,
        output,
        session=one.key("session_id"),
        turn=one.integer("turn", 0),
        start=start,
        count=count,
    )


READER = Agentic()
