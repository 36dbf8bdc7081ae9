"""What is measured, and what can measure it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

Value = str | int | float


@dataclass(frozen=True)
class Point:
    """One thing to time.

    Attributes
    ----------
    part
        Name of the `Part` that measures it.
    columns
        What becomes its row: operation, shape, mechanism; docs/measure.md has them all.
    """

    part: str
    columns: Mapping[str, Value]

    @property
    def key(self) -> str:
        """Return the same short text for the same columns, in any process."""
        text = json.dumps([self.part, dict(self.columns)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


Measure = Callable[[Point, float], list[float]]
"""(point, time by `time.perf_counter` at which to stop) -> seconds of single calls."""


class Unavailable(Exception):
    """A part that this machine cannot measure; the text says why."""


class Part(Protocol):
    """Points that share what must be set up for them."""

    @property
    def name(self) -> str:
        """Return a word for ``--only``."""

    def points(self) -> Sequence[Point]:
        """Return what it measures, the same on every call."""

    def open(self) -> AbstractContextManager[Measure]:
        """Set up, yield what measures, and clear away.

        Raises
        ------
        Unavailable
            This machine lacks what it takes.
        BadInput
            The user can put it right.
        """
