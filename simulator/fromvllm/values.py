"""Values as people write them for vLLM: flags, numbers with a suffix, JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from tierlab.kernels.base.errors import BadInput

_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


def flag(given: Any) -> bool | None:
    """Return what a flag says; None where it is none."""
    if isinstance(given, bool):
        return given
    text = str(given).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def read(given: Any, kind: str, where: str) -> Any:
    """Return a value of this kind: flag, integer, number or integers.

    Raises
    ------
    BadInput
        It is of another kind.
    """
    if kind == "flag":
        found = flag(given)
        if found is None:
            raise BadInput(where, f"{given!r}", "true or false")
        return found
    if kind == "integers":
        return [read(one, "integer", where) for one in _listed(given, where)]
    value = None if isinstance(given, bool) else _number(str(given).replace(",", ""))
    if value is None or (kind == "integer" and value != int(value)):
        raise BadInput(where, f"{given!r}", "a whole number" if kind == "integer" else "a number")
    return int(value) if kind == "integer" else value


def table(given: Any, where: str) -> dict[str, Any]:
    """Return a JSON object, as such or as text.

    Raises
    ------
    BadInput
        It is none.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (json.JSONDecodeError, RecursionError):
            raise BadInput(where, f"{given!r}"[:60], "a JSON object") from None
    if not isinstance(given, dict):
        raise BadInput(where, f"{given!r}"[:60], "a JSON object")
    return {str(name).replace("-", "_"): value for name, value in given.items()}


def _listed(given: Any, where: str) -> list[Any]:
    if isinstance(given, str):
        given = given.strip("[] ").replace(",", " ").split()
    if isinstance(given, int):
        given = [given]
    if not isinstance(given, list) or not given:
        raise BadInput(where, f"{given!r}", "whole numbers")
    return given


def _number(text: str) -> float | None:
    """Read ``16k`` (16,000) and ``16K`` (16,384), as vLLM's command line does."""
    match = re.fullmatch(r"([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)([kKmMgG]?)", text.strip())
    if match is None:
        return None
    power = "kmg".find(match[2].lower()) + 1 if match[2] else 0
    return float(match[1]) * float((1024 if match[2].isupper() else 1000) ** power)
