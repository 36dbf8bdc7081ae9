"""Fields of one JSON record, each refusal with its place, its path in the record and its value."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log
from tierlab.traces.readers.dates import iso_ns
from tierlab.traces.readers.jsonl import LARGEST

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of a record and where it stands.

    Attributes
    ----------
    log, line
        For errors.
    row
        The object.
    path
        Of the object within its record, with a dot at the end, e.g. ``request.replay.``.
    """

    log: Log
    line: int
    row: Object
    path: str = ""

    def fault(self, name: str, accepted: str) -> BadInput:
        """Return the error for a field."""
        if name not in self.row:
            what = f"no field {self.path + name!r}"
            return BadInput(self.log.place(self.line), what, accepted)
        return self.log.fault(self.line, self.path + name, self.row[name], accepted)

    def has(self, name: str) -> bool:
        """Tell whether a field is there and not null."""
        return self.row.get(name) is not None

    def integer(self, name: str, least: int = -LARGEST, limit: int = LARGEST) -> int:
        """Return an integer of at least `least` and below `limit`."""
        value = self.row.get(name)
        if type(value) is not int or not least <= value < limit:
            raise self.fault(name, "an integer" if least < 0 else f"an integer of {least} or more")
        return value

    def number(self, name: str) -> float:
        """Return a finite number, an integer as an integer."""
        value = self.row.get(name)
        if type(value) is int and abs(value) < LARGEST:
            return value
        if type(value) is not float or not math.isfinite(value) or abs(value) >= LARGEST:
            raise self.fault(name, "a finite number")
        return value

    def seconds(self, name: str) -> float:
        """Return a time since 1970 in seconds, from a number or an ISO 8601 text."""
        value = self.row.get(name)
        if not isinstance(value, str):
            return self.number(name)
        stamp_ns = iso_ns(value)
        if stamp_ns is None:
            raise self.fault(name, "seconds since 1970, or an ISO 8601 time")
        return stamp_ns / 1e9

    def inner(self, name: str) -> Fields:
        """Return an object within."""
        value = self.row.get(name)
        if not isinstance(value, dict):
            raise self.fault(name, "an object")
        return Fields(self.log, self.line, value, f"{self.path}{name}.")

    def items(self, name: str) -> list[Any]:
        """Return a list within."""
        value = self.row.get(name)
        if not isinstance(value, list):
            raise self.fault(name, "a list")
        return value

    def ids(self, name: str, limit: int = LARGEST) -> list[int]:
        """Return a list of integers of 0 or more."""
        values = self.items(name)
        if values and not (
            set(map(type, values)) == {int} and 0 <= min(values) <= max(values) < limit
        ):
            bad = next(one for one in values if type(one) is not int or not 0 <= one < limit)
            raise self.log.fault(self.line, self.path + name, bad, "integers of 0 or more")
        return values

    def key(self, name: str) -> Hashable:
        """Return text or an integer that names a session; None where there is none."""
        value = self.row.get(name)
        if value is None or value == "":
            return None
        if type(value) is not str and type(value) is not int:
            raise self.fault(name, "text or an integer")
        return value

    def blocks(self, name: str, have: int, tokens: int, size: int, tail: bool) -> None:
        """Refuse another number of block ids than a prompt of so many tokens has.

        `tail`: the partly filled last block has an id.
        """
        expected = (tokens + (size - 1 if tail else 0)) // size
        if have != expected:
            what = f"{self.path}{name} = {have} ids for {tokens} input tokens"
            accepted = f"{expected} ids: {'ceil' if tail else 'floor'}(input / {size})"
            raise BadInput(self.log.place(self.line), what, accepted)
