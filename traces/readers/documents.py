"""JSON objects of a log: one a line, or one document that is an object or a list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log
from tierlab.traces.readers import jsonl
from tierlab.traces.readers.csvrows import BOM


def objects(log: Log) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object): lines in bounded memory, a document of several lines as a whole.

    A document that is spread over lines, or a list, is read whole (memory: some 10 times its
    size); its objects are numbered from 1 in place of lines.

    Raises
    ------
    BadInput
        A line, the document or an item of its list is no JSON object.
    """
    if is_document(log.head):
        yield from _items(log)
    else:
        yield from jsonl.objects(log)


def is_document(head: bytes) -> bool:
    """Tell whether a log is one document, not an object a line."""
    text = head.removeprefix(BOM).lstrip()
    return text.startswith(b"[") or text.split(b"\n", 1)[0].strip() == b"{"


def _items(log: Log) -> Iterator[tuple[int, dict[str, Any]]]:
    document = _document(log)
    log.unit = "object "
    for number, item in enumerate(document if isinstance(document, list) else [document], 1):
        if isinstance(item, dict):
            yield number, item
        else:
            what = f"a JSON {type(item).__name__}"
            log.tally.skip(BadInput(log.place(number), what, "a JSON object"))


def _document(log: Log) -> Any:
    text = b"\n".join(line for _, line in log.lines())
    try:
        return json.loads(text.removeprefix(BOM))
    except (ValueError, RecursionError) as error:
        what = f"invalid JSON: {error}"
        raise BadInput(str(log.path), what, "one whole JSON document") from None
