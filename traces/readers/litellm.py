"""LiteLLM's StandardLoggingPayload (github.com/BerriAI/litellm).

Fields: `litellm/types/utils.py` and docs/my-website/docs/proxy/logging_spec.md there. As its
callbacks write it: an object a line, or a list of them; bare or under
``standard_logging_object``.

``startTime`` (Unix s, or ISO 8601), ``prompt_tokens``, ``completion_tokens``; ``session_id``, or
else ``trace_id``, which retries and fallbacks of one request share and clients set to theirs.
Excluded are ``status`` = failure, answers from LiteLLM's own cache (``cache_hit``: no engine saw
them) and calls of other kinds than text (embeddings, images, speech, ...). Written when a request
ends: rows are sorted by arrival.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tierlab.traces.log import Log
from tierlab.traces.readers import documents
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.fields import Fields
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Row, gathered, parsed

_KEYS = (b'"startTime"', b'"call_type"')
_WRAPPED = "standard_logging_object"
_OTHER_KINDS = ("embedding", "image", "transcription", "speech", "moderation", "rerank", "video")
_FIELDS = {
    "arrival_s": "startTime",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
}


class LiteLLM(Reader):
    """Reader of LiteLLM's StandardLoggingPayload."""

    name = "litellm"
    summary = "LiteLLM StandardLoggingPayload: startTime, prompt_tokens, completion_tokens, status"
    extensions = (".jsonl", ".json")

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for the keys that stand before the messages."""
        return head.lstrip()[:1] in (b"{", b"[") and all(key in head for key in _KEYS)

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks without block ids."""
        rows = parsed(log, documents.objects(log), partial(_row, log))
        yield from gathered(log, rows, Clock("s"), _FIELDS, ("session",))


def _row(log: Log, line: int, record: dict[str, Any]) -> Row | None:
    call = Fields(log, line, record)
    call = call.inner(_WRAPPED) if call.has(_WRAPPED) else call
    reason = _no_request(call)
    if reason:
        log.tally.exclude(reason)
        return None
    tokens, output = call.integer("prompt_tokens", 1), call.integer("completion_tokens", 0)
    return Row(line, call.seconds("startTime"), tokens, output, _session(call))


def _no_request(call: Fields) -> str:
    status, kind = call.row.get("status", "success"), call.row.get("call_type", "")
    if status not in ("success", "failure"):
        raise call.fault("status", "'success' or 'failure'")
    if status == "failure":
        return "status = failure"
    if call.row.get("cache_hit") is True:
        return "answered from LiteLLM's own cache"
    other = isinstance(kind, str) and any(word in kind for word in _OTHER_KINDS)
    return "a call that generates no text" if other else ""


def _session(call: Fields) -> Hashable:
    key = call.key("session_id")
    return call.key("trace_id") if key is None else key


READER = LiteLLM()
