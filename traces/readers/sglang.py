"""SGLang's request log: ``--log-requests --log-requests-format json``.

Fields: ``python/sglang/srt/utils/request_logger.py`` in github.com/sgl-project/sglang
(Apache-2.0).

An event a line: ``{"timestamp", "event", "rid", "obj", "out"}``. ``request.finished`` is a
request: ``out.meta_info`` has ``prompt_tokens``, ``completion_tokens``, ``e2e_latency`` (s) and,
in newer versions, ``request_received_ts`` (Unix s); without it the arrival is ``timestamp``, the
time of the log line, less ``e2e_latency``. ``request.received`` lines and aborted requests are
excluded. Written when a request ends: rows are sorted by arrival. ``obj.lora_path`` is the
adapter. A time zone is not written, which only matters if the log spans a change of it.
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
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Row, gathered, parsed

_FINISHED, _RECEIVED = "request.finished", "request.received"
_COLUMNS = ("adapter",)
_FIELDS = {
    "arrival_s": "out.meta_info.request_received_ts",
    "input_tokens": "out.meta_info.prompt_tokens",
    "output_tokens": "out.meta_info.completion_tokens",
}


class SGLang(Reader):
    """Reader of SGLang's request log."""

    name = "sglang"
    summary = "SGLang --log-requests-format json: request.finished events with meta_info"
    extensions = (".log", ".jsonl")

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for the events' names."""
        named = f'"{_FINISHED}"'.encode() in head or f'"{_RECEIVED}"'.encode() in head
        return b'"rid"' in head and named

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks without block ids."""
        rows = parsed(log, jsonl.objects(log), partial(_row, log))
        yield from gathered(log, rows, Clock("s"), _FIELDS, _COLUMNS)


def _row(log: Log, line: int, record: dict[str, Any]) -> Row | None:
    event = Fields(log, line, record)
    kind = record.get("event")
    if kind == _RECEIVED:
        log.tally.exclude("request.received, told again when finished")
        return None
    if kind != _FINISHED:
        raise event.fault("event", f"{_FINISHED!r} or {_RECEIVED!r}")
    meta = event.inner("out").inner("meta_info")
    if _aborted(meta):
        log.tally.exclude("aborted")
        return None
    tokens, output = meta.integer("prompt_tokens", 1), meta.integer("completion_tokens", 0)
    adapter = event.inner("obj").key("lora_path") if event.has("obj") else None
    return Row(line, _arrival_s(event, meta), tokens, output, adapter=adapter)


def _aborted(meta: Fields) -> bool:
    reason = meta.row.get("finish_reason")
    return isinstance(reason, dict) and reason.get("type") == "abort"


def _arrival_s(event: Fields, meta: Fields) -> float:
    if meta.has("request_received_ts"):
        return meta.number("request_received_ts")
    return event.seconds("timestamp") - meta.number("e2e_latency")


READER = SGLang()
