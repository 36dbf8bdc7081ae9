"""Mooncake JSONL (kvcache-ai/Mooncake, FAST25-release, Apache-2.0).

``{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [...]}``: global,
prefix-chained ids of 512-token blocks, ceil(input / 512) of them, the partial tail with its own.
Timestamps sit on ticks of 3 s, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tierlab.traces.log import Log
from tierlab.traces.readers import jsonl
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.fields import Fields
from tierlab.traces.readers.numbering import in_runs
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Blocks, Row, gathered, parsed

BLOCK_TOKENS = 512
_KEYS = (b'"timestamp"', b'"input_length"', b'"output_length"', b'"hash_ids"')
_NOT = b'"chat_id"'  # Qwen-Bailian has the same keys, another block size and another clock
FIELDS = {
    "arrival_s": "timestamp",
    "input_tokens": "input_length",
    "output_tokens": "output_length",
    "block_ids": "hash_ids",
}


class Mooncake(Reader):
    """Reader of Mooncake JSONL."""

    name = "mooncake"
    summary = "Mooncake JSONL: timestamp (ms), lengths, hash_ids of 512-token blocks"
    extensions = (".jsonl",)
    ordered = True
    ticked = True

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for Mooncake's keys in the first line."""
        line = head.lstrip().split(b"\n", 1)[0]
        return line.startswith(b"{") and all(key in line for key in _KEYS) and _NOT not in line

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks with global block ids."""
        rows = parsed(log, jsonl.objects(log), partial(_row, log))
        yield from gathered(log, rows, Clock("ms"), FIELDS, blocks=Blocks(BLOCK_TOKENS, True))


def _row(log: Log, line: int, record: dict[str, Any]) -> Row:
    one = Fields(log, line, record)
    time_ms = one.number("timestamp")
    tokens, output = one.integer("input_length", 1), one.integer("output_length", 0)
    ids = one.ids("hash_ids")
    one.blocks("hash_ids", len(ids), tokens, BLOCK_TOKENS, tail=True)
    start, count = in_runs(ids)
    return Row(line, time_ms, tokens, output, start=start, count=count)


READER = Mooncake()
