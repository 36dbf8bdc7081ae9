"""JSON lines: one object a line, its fields checked where they stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log

T = TypeVar("T")
LARGEST = 2**62


def objects(log: Log) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for every line that is not blank.

    Raises
    ------
    BadInput
        A line is no JSON object, and bad lines are not to be skipped.
    """
    for number, line in log.lines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = f"invalid JSON: {error}"
            log.tally.skip(BadInput(log.place(number), what, "one JSON object a line"))
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            what = f"a JSON {type(row).__name__}"
            log.tally.skip(BadInput(log.place(number), what, "one JSON object a line"))


def batches(rows: Iterator[T], size: int) -> Iterator[list[T]]:
    """Gather rows into lists of at most `size`."""
    while batch := list(islice(rows, size)):
        yield batch
