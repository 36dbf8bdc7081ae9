"""Azure LLM inference traces 2023 and 2024 (github.com/Azure/AzurePublicDataset, CC-BY-4.0).

``TIMESTAMP,ContextTokens,GeneratedTokens``: invocations in order. 2023 writes times without a
zone and 7 fractional digits, 2024 with ``+00:00`` and 6. No sessions, no block ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tierlab.traces.log import Log
from tierlab.traces.readers import tables, values
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.csvrows import header_of
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import halved
from tierlab.traces.readers.tables import Table

_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_FIELDS = dict(zip(("arrival_s", "input_tokens", "output_tokens"), _COLUMNS, strict=True))


class Azure(Reader):
    """Reader of Azure's traces."""

    name = "azure"
    summary = "Azure CSV of 2023 and 2024: TIMESTAMP, ContextTokens, GeneratedTokens"
    extensions = (".csv",)
    ordered = True

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for the header."""
        return header_of(head) == list(_COLUMNS)

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks without block ids."""
        clock = Clock("ns")

        def build(table: Table) -> Chunk:
            raw = values.dates_ns(log, table, _COLUMNS[0])
            tokens, output = (values.integers(log, table, name) for name in _COLUMNS[1:])
            line = np.array(table.line, np.int64)
            return Chunk(line, clock.seconds(raw), tokens, output, fields=_FIELDS)

        for table in tables.csv_tables(log, tables.required(_COLUMNS, log), spread=False):
            yield from halved(log, table, build)


READER = Azure()
