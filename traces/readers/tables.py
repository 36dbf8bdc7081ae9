"""CSV, JSON lines and Parquet as the same thing: batches of named columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log
from tierlab.traces.readers import jsonl
from tierlab.traces.readers.csvrows import Rows
from tierlab.traces.readers.protocol import CHUNK_ROWS

MISSING = object()
"""The cell of a row that lacks the column."""


@dataclass(frozen=True)
class Table:
    """Some rows of a log.

    Attributes
    ----------
    line
        Where each row stands in the file.
    columns
        Name -> cells.
    text
        Cells are text that spells numbers (CSV), not numbers.
    """

    line: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    text: bool


Wanted = Callable[[Sequence[str]], Sequence[str]]
"""Given the log's columns, returns those to read."""


def required(names: Sequence[str], log: Log) -> Wanted:
    """Return what asks for these columns, and refuses a log that lacks one."""

    def wanted(present: Sequence[str]) -> Sequence[str]:
        missing = [name for name in names if name not in present]
        if missing:
            what = f"no column {missing[0]!r} among {', '.join(map(repr, present[:20]))}"
            raise BadInput(log.place(1), what, ", ".join(names))
        return names

    return wanted


def csv_tables(log: Log, wanted: Wanted, spread: bool = True) -> Iterator[Table]:
    """Yield the rows of a CSV file with a header, separated by comma, semicolon or tab.

    `spread`: as in `Rows`.
    """
    rows = Rows(log, spread)
    names = wanted(rows.header)
    places = [_place(log, rows.header, name) for name in names]
    for batch in jsonl.batches(iter(rows), CHUNK_ROWS):
        cells = {
            name: [row[place] for _, row in batch]
            for name, place in zip(names, places, strict=True)
        }
        yield Table([line for line, _ in batch], cells, text=True)


def _place(log: Log, header: Sequence[str], name: str) -> int:
    if header.count(name) > 1:
        what = f"column {name!r} stands {header.count(name)} times in the header"
        raise BadInput(log.place(1), what, "each column once")
    return header.index(name)


def jsonl_tables(log: Log, wanted: Wanted) -> Iterator[Table]:
    """Yield the rows of JSON lines; ``usage.prompt_tokens`` reaches into a nested object."""
    names: Sequence[str] = ()
    for batch in jsonl.batches(jsonl.objects(log), CHUNK_ROWS):
        names = names or wanted(list(batch[0][1]))
        cells = {name: [_reach(row, name) for _, row in batch] for name in names}
        yield Table([line for line, _ in batch], cells, text=False)


def parquet_tables(log: Log, wanted: Wanted) -> Iterator[Table]:
    """Yield the rows of a Parquet file; dates become int64 nanoseconds."""
    import polars as pl

    from tierlab.traces.readers.parquet import slices

    names: Sequence[str] = ()
    for first, frame in slices(log, CHUNK_ROWS):
        names = names or wanted(frame.columns)
        dates = [name for name in names if isinstance(frame.schema.get(name), pl.Datetime)]
        whole = frame.with_columns(pl.col(dates).dt.epoch("ns")) if dates else frame
        cells = {name: _series(whole, name) for name in names}
        yield Table(range(first, first + len(frame)), cells, text=False)


def dates_of(log: Log) -> set[str]:
    """Return the columns of a Parquet file that hold dates."""
    import polars as pl

    schema = pl.scan_parquet(log.path).collect_schema()
    return {name for name, kind in schema.items() if isinstance(kind, pl.Datetime)}


def _series(frame: Any, name: str) -> Sequence[Any]:
    parts = [name] if name in frame.columns else name.split(".")
    series = frame[parts[0]]
    for part in parts[1:]:
        series = series.struct.field(part)
    cells: list[Any] = series.to_list()
    return cells


def _reach(row: dict[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value
