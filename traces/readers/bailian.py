"""Qwen-Bailian traces (github.com/alibaba-edu/qwen-bailian-usagetraces-anon, Apache-2.0).

``{"chat_id", "parent_chat_id", "timestamp", "input_length", "output_length", "type", "turn",
"hash_ids"}`` a line, as its README has them: seconds from the start, in order; a turn names the
chat that it continues (-1: none); turns count from 1; ceil(input / 16) ids (its
qwen_thinking_blksz_16: 502 tokens, 32 ids).

The README hashes each block by itself, so that one id stands for the same tokens after any text.
Blocks are numbered here by id *and* all before it: what is the same only by chance of content is
no prefix and cannot be reused.
"""

from __future__ import annotations

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

BLOCK_TOKENS = 16
_ROOT = -1
_KEYS = (b'"chat_id"', b'"parent_chat_id"', b'"input_length"', b'"timestamp"')
_FIELDS = {
    "arrival_s": "timestamp",
    "input_tokens": "input_length",
    "output_tokens": "output_length",
    "block_ids": "hash_ids",
}


class Bailian(Reader):
    """Reader of Qwen-Bailian traces."""

    name = "bailian"
    summary = "Qwen-Bailian JSONL: chat_id, parent_chat_id, seconds, hash_ids of 16-token blocks"
    extensions = (".jsonl",)
    ordered = True

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for the keys."""
        return head.lstrip().startswith(b"{") and all(key in head for key in _KEYS)

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks; memory holds a number per chat and per distinct block."""
        rows = parsed(log, jsonl.objects(log), _Parser(log).row)
        columns = ("session", "turn")
        yield from gathered(log, rows, Clock("s"), _FIELDS, columns, Blocks(BLOCK_TOKENS, True))


@dataclass(slots=True)
class _Parser:
    log: Log
    roots: dict[Hashable, Hashable] = field(default_factory=dict)
    numbering: Numbering = field(default_factory=Numbering)

    def row(self, line: int, record: dict[str, Any]) -> Row:
        one = Fields(self.log, line, record)
        time_s, turn = one.number("timestamp"), one.integer("turn", 1)
        tokens, output = one.integer("input_length", 1), one.integer("output_length", 0)
        chat, parent = one.integer("chat_id"), one.integer("parent_chat_id")
        ids = one.ids("hash_ids")
        one.blocks("hash_ids", len(ids), tokens, BLOCK_TOKENS, tail=True)
        root = chat if parent == _ROOT else self.roots.get(parent, parent)
        self.roots[chat] = root
        start, count = in_runs(self.numbering.chained(ids))
        return Row(line, time_s, tokens, output, root, turn - 1, start=start, count=count)


READER = Bailian()
