"""OpenTelemetry GenAI spans as OTLP JSON.

Names: opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans; vLLM's: ``vllm/tracing.py`` in
github.com/vllm-project/vllm.

``{"resourceSpans": [{"scopeSpans": [{"spans": [...]}]}]}``: an export a line, as the collector's
file exporter writes them, or one document. A span with token counts is a request:
``startTimeUnixNano``, ``gen_ai.usage.input_tokens`` and ``output_tokens``, or the older
``prompt_tokens`` and ``completion_tokens`` that vLLM writes; ``gen_ai.conversation.id`` or
``session.id`` is the session. By the conventions `input_tokens` counts tokens read from a cache;
a span with more ``cache_read.input_tokens`` than that contradicts them and is refused.

Excluded are spans without token counts, and spans of agents, workflows and tools, which repeat
the sum of the requests within. Spans end out of order: rows are sorted by arrival. A log of both
a client's spans and the engine's tells each request twice: export one of them.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log
from tierlab.traces.readers import documents
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.fields import Fields
from tierlab.traces.readers.jsonl import LARGEST
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Row, gathered, parsed

_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_CACHED = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens")
_SESSION = ("gen_ai.conversation.id", "session.id")
_OPERATION = "gen_ai.operation.name"
_NO_REQUEST = ("invoke_agent", "create_agent", "invoke_workflow", "execute_tool", "embeddings")
_FIELDS = {
    "arrival_s": "startTimeUnixNano",
    "input_tokens": _INPUT[0],
    "output_tokens": _OUTPUT[0],
}
_INTEGER = re.compile(r"-?[0-9]{1,19}")
Span = tuple[dict[str, Any], str]


class OTel(Reader):
    """Reader of OpenTelemetry GenAI spans."""

    name = "otel"
    summary = "OpenTelemetry GenAI spans in OTLP JSON, old and new names, vLLM's included"
    extensions = (".jsonl", ".json")

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for OTLP's outermost key."""
        return head.lstrip()[:1] in (b"{", b"[") and b'"resourceSpans"' in head

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks without block ids."""
        rows = parsed(log, _spans(log), partial(_row, log))
        yield from gathered(log, rows, Clock("ns"), _FIELDS, ("session",))


def _spans(log: Log) -> Iterator[tuple[int, Span]]:
    """Yield (line, (span, its path in the export)); count what cannot be taken apart as one."""
    for line, export in documents.objects(log):
        level = [(export, "")]
        for names in (
            ("resourceSpans",),
            ("scopeSpans", "instrumentationLibrarySpans"),
            ("spans",),
        ):
            level = list(_below(log, line, level, names))
        for span in level:
            yield line, span


def _below(log: Log, line: int, above: list[Span], names: tuple[str, ...]) -> Iterator[Span]:
    for holder, path in above:
        one = Fields(log, line, holder, path)
        name = next((name for name in names if name in holder), names[0])
        if name not in holder and path:
            continue  # OTLP leaves an empty list out
        try:
            items = one.items(name)
        except BadInput as error:
            log.tally.skip(error)
            continue
        for place, item in enumerate(items):
            where = f"{path}{name}[{place}]"
            if isinstance(item, dict):
                yield item, f"{where}."
            else:
                log.tally.skip(log.fault(line, where, item, "an object"))


def _row(log: Log, line: int, found: Span) -> Row | None:
    span = Fields(log, line, *found)
    given = _attributes(span)
    if given.row.get(_OPERATION) in _NO_REQUEST:
        log.tally.exclude("a span of an agent, a tool or embeddings, no request")
        return None
    counts = _named(given, _INPUT), _named(given, _OUTPUT)
    if counts[0] is None or counts[1] is None:
        log.tally.exclude("a span without token counts")
        return None
    tokens, output = given.integer(counts[0], 1), given.integer(counts[1], 0)
    cached = _named(given, _CACHED)
    if cached and given.integer(cached, 0) > tokens:
        raise given.fault(cached, f"at most {counts[0]} = {tokens}, which counts cached tokens")
    return Row(line, _nanoseconds(span), tokens, output, _session(given))


def _named(given: Fields, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if given.has(name)), None)


def _session(given: Fields) -> Hashable:
    name = _named(given, _SESSION)
    return given.key(name) if name else None


def _attributes(span: Fields) -> Fields:
    """Return a span's attributes by name; OTLP writes 64-bit integers as text."""
    given: dict[str, Any] = {}
    for item in span.items("attributes") if span.has("attributes") else []:
        if not isinstance(item, dict) or not isinstance(item.get("key"), str):
            raise span.fault("attributes", 'a list of {"key", "value"}')
        value = item.get("value")
        given[item["key"]] = _value(value) if isinstance(value, dict) else value
    return Fields(span.log, span.line, given, f"{span.path}attributes.")


def _value(value: dict[str, Any]) -> Any:
    if "intValue" in value:
        return _whole(value["intValue"])
    return next(iter(value.values()), None)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value


def _nanoseconds(span: Fields) -> int:
    value = _whole(span.row.get("startTimeUnixNano"))
    if type(value) is not int or not 0 < value < LARGEST:
        raise span.fault("startTimeUnixNano", "nanoseconds since 1970")
    return value


READER = OTel()
