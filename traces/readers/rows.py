"""Records of a log, one at a time, to chunks; a malformed one stops the reading or is skipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.traces import runs
from tierlab.traces.log import Log
from tierlab.traces.readers import jsonl
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.numbering import Numbering
from tierlab.traces.readers.protocol import CHUNK_ROWS, Chunk
from tierlab.traces.readers.tables import Table

T = TypeVar("T")


@dataclass(slots=True)
class Row:
    """One request as its record tells it.

    Attributes
    ----------
    line
        Where the record stands.
    time
        Arrival in the ticks of the log's clock.
    think_s
        NaN where unknown.
    parent
        Number of the row that spawned this one, counted from 0 over the rows that were yielded.
    start, count
        Its prefix block ids as runs.
    """

    line: int
    time: float
    input_tokens: int
    output_tokens: int
    session: Hashable = None
    turn: int = 0
    think_s: float = math.nan
    parent: int = -1
    adapter: Hashable = None
    start: Sequence[int] = ()
    count: Sequence[int] = ()


@dataclass(slots=True)
class Blocks:
    """What kind of block ids a log holds; the reader may learn the size from its first record.

    Attributes
    ----------
    block_tokens
        Tokens per block; 0: no record so far had ids.
    partial_tail
        As in `runs.Runs`.
    numbering
        Where a record may lack ids: gives its blocks numbers that no other has, for nothing is
        known to be shared; None: such a record is malformed.
    """

    block_tokens: int = 0
    partial_tail: bool = False
    numbering: Numbering | None = None


def parsed(
    log: Log, records: Iterable[tuple[int, T]], parse: Callable[[int, T], Row | None]
) -> Iterator[Row]:
    """Yield the rows of (line, record) pairs; `parse` returns None for what is no request.

    Raises
    ------
    BadInput
        As `parse`, where malformed records are not to be skipped.
    """
    for line, record in records:
        try:
            row = parse(line, record)
        except BadInput as error:
            log.tally.skip(error)
            continue
        if row is not None:
            yield row


def gathered(
    log: Log,
    rows: Iterator[Row],
    clock: Clock,
    fields: Mapping[str, str],
    columns: Collection[str] = (),
    blocks: Blocks | None = None,
) -> Iterator[Chunk]:
    """Gather rows into chunks.

    Parameters
    ----------
    clock
        Of the log.
    fields
        As in `Chunk`.
    columns
        Which optional columns the format has: session, turn, think_s, parent, adapter.
    blocks
        Kind of the block ids; looked at after each chunk has been gathered.
    """
    without = 0
    for batch in jsonl.batches(rows, CHUNK_ROWS):
        if blocks and without and blocks.block_tokens:
            what = f"block ids, after {without} requests without"
            raise BadInput(log.place(batch[0].line), what, "a log with block ids from its start on")
        without += 0 if blocks and blocks.block_tokens else len(batch)
        given: dict[str, Any] = {name: [getattr(row, name) for row in batch] for name in columns}
        for name in {"turn", "parent"} & given.keys():
            given[name] = np.array(given[name], np.int64)
        if "think_s" in given:
            given["think_s"] = np.array(given["think_s"], np.float64)
        yield Chunk(
            line=np.array([row.line for row in batch], np.int64),
            arrival_s=clock.seconds(_times([row.time for row in batch])),
            input_tokens=np.array([row.input_tokens for row in batch], np.int64),
            output_tokens=np.array([row.output_tokens for row in batch], np.int64),
            blocks=_runs(batch, blocks) if blocks and blocks.block_tokens else None,
            fields=fields,
            **given,
        )


def _times(raw: list[float]) -> NDArray[np.int64] | NDArray[np.float64]:
    """Keep whole ticks whole: nanoseconds since 1970 do not fit a float64."""
    if all(type(one) is int for one in raw):
        return np.array(raw, np.int64)
    return np.array(raw, np.float64)


def _runs(batch: Sequence[Row], kind: Blocks) -> runs.Runs:
    if kind.numbering is not None:
        for row in batch:
            if not row.start:
                blocks = _blocks(row.input_tokens, kind)
                row.start, row.count = kind.numbering.fresh(blocks)
    lengths = np.array([len(row.start) for row in batch], np.int64)
    start = np.array([one for row in batch for one in row.start], np.int64)
    count = np.array([one for row in batch for one in row.count], np.int64)
    offsets = runs.offsets_of(lengths)
    return runs.Runs(kind.block_tokens, kind.partial_tail, offsets, start, count)


def _blocks(tokens: int, kind: Blocks) -> int:
    return (tokens + (kind.block_tokens - 1 if kind.partial_tail else 0)) // kind.block_tokens


def halved(log: Log, table: Table, build: Callable[[Table], Chunk | None]) -> Iterator[Chunk]:
    """Yield what `build` makes of a table; in search of bad rows, of ever smaller parts of it.

    Raises
    ------
    BadInput
        As `build`, where malformed records are not to be skipped.
    """
    try:
        chunk = build(table)
    except BadInput as error:
        if not log.tally.skip_bad:
            raise
        size = len(table.line)
        if size == 1:
            log.tally.skip(error)
            return
        yield from halved(log, part(table, slice(0, size // 2)), build)
        yield from halved(log, part(table, slice(size // 2, size)), build)
        return
    if chunk is not None:
        yield chunk


def part(table: Table, rows: slice) -> Table:
    """Return some consecutive rows of a table."""
    columns = {name: cells[rows] for name, cells in table.columns.items()}
    return Table(table.line[rows], columns, table.text)
