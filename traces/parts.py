"""Columns of a log as they grow: chunk after chunk into one array each, with no second copy."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.traces import runs
from tierlab.traces.readers.protocol import Chunk

Ints = NDArray[np.int64]

_COLUMNS: dict[str, type[np.int64] | type[np.float64]] = {
    "arrival_s": np.float64,
    "input_tokens": np.int64,
    "output_tokens": np.int64,
    "session": np.int64,
    "turn": np.int64,
    "think_s": np.float64,
    "parent": np.int64,
    "adapter": np.int64,
}


class Parts:
    """The columns of some chunks; line numbers are not kept.

    Attributes
    ----------
    rows
        Of all chunks.
    name
        The trace's own name where the log holds one.
    """

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self.rows = 0
        self.name = ""
        self._columns = {name: _Column(kind) for name, kind in _COLUMNS.items()}
        self._ids = [_Column(np.int64) for _ in range(3)]
        self._kinds: dict[tuple[int, bool, bool] | None, None] = {}
        for chunk in chunks:
            self._add(chunk)

    def _add(self, chunk: Chunk) -> None:
        self.rows += len(chunk.arrival_s)
        self.name = self.name or chunk.name
        for name, column in self._columns.items():
            if (values := getattr(chunk, name)) is not None:
                column.add(values)
        ids = chunk.blocks
        self._kinds[(ids.block_tokens, ids.partial_tail, ids.local) if ids else None] = None
        if ids:
            for column, values in zip(
                self._ids, (np.diff(ids.offsets), ids.start, ids.count), strict=True
            ):
                column.add(values)

    def join(self, name: str, order: Ints | None = None) -> NDArray[Any] | None:
        """Return a column, once. None where the log has none.

        `order`: rows to take, in this order; None: all, as they are.
        """
        whole = self._columns.pop(name).whole()
        if not len(whole):
            return None
        return whole if order is None else whole[order]

    def join_blocks(self, order: Ints | None, where: str) -> runs.Runs | None:
        """Return the block ids, once. None where the log has none.

        Raises
        ------
        BadInput
            Chunks differ in the size of their blocks; `where` names the log.
        """
        if len(self._kinds) > 1:
            raise BadInput(where, "block ids of several kinds", "one block size in a log")
        kind = next(iter(self._kinds))
        if kind is None:
            return None
        lengths, start, count = (column.whole() for column in self._ids)
        block_tokens, partial_tail, local = kind
        ids = runs.Runs(block_tokens, partial_tail, runs.offsets_of(lengths), start, count, local)
        return ids if order is None else runs.ordered(ids, order)


class _Column:
    """Values that grow in place: large ones are moved by the system's page tables, not copied."""

    def __init__(self, kind: type[np.int64] | type[np.float64]) -> None:
        self._kind = kind
        self._values: array[Any] = array("d" if kind is np.float64 else "q")

    def add(self, values: NDArray[Any]) -> None:
        whole = np.ascontiguousarray(values.astype(self._kind, casting="safe", copy=False))
        self._values.frombytes(whole.data.cast("B") if len(whole) else b"")

    def whole(self) -> NDArray[Any]:
        return np.frombuffer(self._values, self._kind)
