"""BurstGPT (github.com/HPMLL/BurstGPT, arXiv 2401.17644, CC-BY-4.0).

``Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type``, and in BurstGPT_3 also
``Session ID`` and ``Elapsed time``: seconds from the first day's midnight, in order. The clock
ticks every second, so arrivals are spread over it by seed. A row of 0 response tokens is a failed
request, as the dataset's README has it: it is excluded and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tierlab.traces.log import Log
from tierlab.traces.readers import tables, values
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.csvrows import header_of
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import halved
from tierlab.traces.readers.tables import Table

_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
_SESSION = "Session ID"
_FIELDS = dict(zip(("arrival_s", "input_tokens", "output_tokens"), _COLUMNS, strict=True))
FAILED = "0 response tokens: the request failed"


class BurstGPT(Reader):
    """Reader of BurstGPT."""

    name = "burstgpt"
    summary = "BurstGPT CSV: Timestamp (s), Request tokens, Response tokens (0: failed, excluded)"
    extensions = (".csv",)
    ordered = True
    ticked = True

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for the header."""
        return set(_COLUMNS) <= set(header_of(head))

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks without block ids."""
        clock, optional = Clock("s"), []

        def wanted(present: Sequence[str]) -> Sequence[str]:
            optional.extend([_SESSION] if _SESSION in present else [])
            return [*tables.required(_COLUMNS, log)(present), *optional]

        def build(table: Table) -> Chunk:
            raw = values.numbers(log, table, _COLUMNS[0])
            tokens, output = (values.integers(log, table, name) for name in _COLUMNS[1:])
            session = values.keys(log, table, _SESSION) if optional else None
            line = np.array(table.line, np.int64)
            return Chunk(line, clock.seconds(raw), tokens, output, session, fields=_FIELDS)

        for table in tables.csv_tables(log, wanted, spread=False):
            answered = _answered(log, table)
            if answered.line:
                yield from halved(log, answered, build)


def _answered(log: Log, table: Table) -> Table:
    kept = [row for row, cell in enumerate(table.columns[_COLUMNS[2]]) if not _zero(cell)]
    if len(kept) < len(table.line):
        log.tally.exclude(FAILED, len(table.line) - len(kept))
    columns = {name: [cells[row] for row in kept] for name, cells in table.columns.items()}
    return Table([table.line[row] for row in kept], columns, table.text)


def _zero(cell: str) -> bool:
    return cell.strip() in ("0", "0.0")


READER = BurstGPT()
