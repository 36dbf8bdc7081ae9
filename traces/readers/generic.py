"""A table of requests in CSV, JSON lines or Parquet, with a column map or names that speak.

Arrivals are numbers (the unit is the ending of the column's name, ``_ms``, or of the map's key,
``arrival_ms``; else seconds) or ISO 8601 times to the nanosecond. Rows may stand in any order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log
from tierlab.traces.readers import columns, dates, tables, values
from tierlab.traces.readers.clock import TICKS_PER_S, Clock
from tierlab.traces.readers.columns import Column
from tierlab.traces.readers.csvrows import BOM, header_of
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import halved
from tierlab.traces.readers.tables import Table
from tierlab.traces.readers.tierlab import PARQUET_MAGIC

_SCHEMA = {"arrival": "arrival_s", "think": "think_s"}


class Generic(Reader):
    """Reader of a plain table of requests."""

    name = "generic"
    summary = "CSV, JSON lines or Parquet with a column map; common names are recognised"
    extensions = (".csv", ".tsv", ".jsonl", ".parquet")
    mapped = True

    def detect(self, head: bytes, path: Path) -> bool:
        """Tell whether arrival, input and output are found by name."""
        if head.startswith(PARQUET_MAGIC):
            return True
        return columns.guessable(_names(head))

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks without block ids."""
        found: dict[str, Column] = {}

        def wanted(present: list[str]) -> list[str]:
            found.update(columns.resolve(present, options.columns, str(log.path)))
            return [column.name for column in found.values()]

        times: list[_Times] = []

        def build(table: Table) -> Chunk:
            raw = times[0].raw(log, table)
            chunk = _chunk(log, table, found, np.zeros(len(raw)))
            return replace(chunk, arrival_s=times[0].clock.seconds(raw))

        for table in _source(log)(log, wanted):
            times = times or [_times(log, table, found["arrival"])]
            yield from halved(log, table, build)


def _source(log: Log) -> partial[Iterator[Table]]:
    if log.head.startswith(PARQUET_MAGIC):
        return partial(tables.parquet_tables)
    is_json = log.head.removeprefix(BOM).lstrip().startswith(b"{")
    return partial(tables.jsonl_tables if is_json else tables.csv_tables)


def _names(head: bytes) -> list[str]:
    line = head.removeprefix(BOM).lstrip().split(b"\n", 1)[0]
    if not line.startswith(b"{"):
        return header_of(head)
    try:
        return list(json.loads(line))
    except (ValueError, RecursionError):
        return []


@dataclass(frozen=True)
class _Times:
    """How a log writes arrivals, and its clock."""

    raw: Callable[[Log, Table], NDArray[np.int64] | NDArray[np.float64]]
    clock: Clock


def _times(log: Log, table: Table, column: Column) -> _Times:
    """Tell by the first table how arrivals are written; by most of it, for a cell may be bad."""
    cells = table.columns[column.name]
    written = 2 * sum(map(dates.is_date, cells)) - len(cells)
    if written > 0 or (written == 0 and dates.is_date(cells[0])):
        return _Times(partial(values.dates_ns, name=column.name), Clock("ns"))
    if log.unit and column.name in tables.dates_of(log):
        return _Times(partial(_epoch_ns, name=column.name), Clock("ns"))
    accepted = "a number or an ISO 8601 time"
    read = partial(values.numbers, name=column.name, accepted=accepted)
    return _Times(read, Clock(column.unit))


def _epoch_ns(log: Log, table: Table, name: str) -> NDArray[np.int64]:
    cells = table.columns[name]
    if None in cells:
        row = list(cells).index(None)
        raise BadInput(log.place(table.line[row]), f"no value for {name!r}", "a time in every row")
    return np.array(cells, np.int64)


def _chunk(
    log: Log, table: Table, found: dict[str, Column], arrival_s: NDArray[np.float64]
) -> Chunk:
    def name(key: str) -> str | None:
        return found[key].name if key in found else None

    session, adapter, turn = name("session"), name("adapter"), name("turn")
    return Chunk(
        line=np.array(table.line, np.int64),
        arrival_s=arrival_s,
        input_tokens=values.integers(log, table, found["input_tokens"].name),
        output_tokens=values.integers(log, table, found["output_tokens"].name),
        session=values.keys(log, table, session) if session else None,
        turn=values.integers(log, table, turn) if turn else None,
        think_s=_think_s(log, table, found),
        adapter=values.keys(log, table, adapter) if adapter else None,
        fields={_SCHEMA.get(key, key): column.name for key, column in found.items()},
    )


def _think_s(log: Log, table: Table, found: dict[str, Column]) -> NDArray[np.float64] | None:
    if "think" not in found:
        return None
    column = found["think"]
    return values.numbers(log, table, column.name, blank=True) / TICKS_PER_S[column.unit]


READER = Generic()
