"""The YAML that ``vllm serve --config`` uses: ``key: value`` lines and lists of plain values.

A strict reader of that subset of YAML 1.1. Nested blocks, anchors, tags and multi-line texts are
refused, never guessed at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tierlab.kernels.base.errors import BadInput

ACCEPTED = "flat YAML: key: value lines, lists of plain values"
_KEY = re.compile(r"([A-Za-z_][\w.-]*)\s*:(?:\s+(.*))?$")
_TRUE, _FALSE = {"true", "yes", "on"}, {"false", "no", "off"}
_NUMBER = re.compile(r"[-+]?\d+$")
_REAL = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?$")


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """Return key -> value: text, number, bool, None, or a list of those; ``{...}`` as JSON.

    Raises
    ------
    BadInput
        A line is outside the subset, or a key stands there twice; with the line.
    """
    found: dict[str, Any] = {}
    key = None
    for at, line in _lines(text, where):
        if key is not None and (item := re.match(r"\s*-\s+(.+)$", line)):
            found[key] = [*(found[key] or ()), _value(item.group(1), at)]
            continue
        match = _KEY.match(line)
        if match is None:
            raise BadInput(at, f"{line.strip()[:40]!r} is not understood", ACCEPTED)
        key, written = match.group(1), (match.group(2) or "").strip()
        if key in found:
            raise BadInput(at, f"{key} is given twice", "each key once")
        found[key] = _value(written, at)
        key = None if written else key
    return found


def _lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Yield (file:line, text) of every line that says something."""
    for number, line in enumerate(text.splitlines(), 1):
        bare = _without_comment(line).rstrip()
        if bare and bare not in ("---", "..."):
            yield f"{where}:{number}", bare


def _without_comment(line: str) -> str:
    quote = ""
    for i, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#" and (i == 0 or line[i - 1].isspace()):
            return line[:i]
    return line


def _value(written: str, at: str) -> Any:
    if not written or written in ("~", "null", "Null", "NULL"):
        return None
    if written[0] in "[{":
        return _flow(written, at)
    if written[0] in "\"'":
        return _quoted(written, at)
    if written[0] in "&*!|>%@`" or ": " in written:
        raise BadInput(at, f"{written[:40]!r} is not understood", ACCEPTED)
    return _plain(written)


def _plain(written: str) -> Any:
    if written.lower() in _TRUE | _FALSE:
        return written.lower() in _TRUE
    if _NUMBER.match(written):
        return int(written)
    return float(written) if _REAL.match(written) else written


def _quoted(written: str, at: str) -> str:
    """Return a quoted text; escapes of double quotes are JSON's."""
    if len(written) > 1 and written[0] == written[-1]:
        if written[0] == "'":
            return written[1:-1].replace("''", "'")
        try:
            return str(json.loads(written))
        except json.JSONDecodeError:
            pass
    raise BadInput(at, f"{written[:40]!r} is no quoted text", ACCEPTED)


def _flow(written: str, at: str) -> Any:
    try:
        return json.loads(written)
    except json.JSONDecodeError:
        pass
    inner = written[1:-1]
    if written[0] == "[" and written[-1] == "]" and not set(inner) & set("[]{}\"'"):
        return [_value(part.strip(), at) for part in inner.split(",") if part.strip()]
    raise BadInput(at, f"{written[:40]!r} is not understood", "JSON between [ ] or { }")
