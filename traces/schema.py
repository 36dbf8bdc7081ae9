"""The one table of requests that every reader writes and every simulation reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.traces import rules, runs

if TYPE_CHECKING:
    import polars as pl

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ROW_COLUMNS = {
    "arrival_s": np.float64,
    "input_tokens": np.int64,
    "output_tokens": np.int64,
    "session": np.int64,
    "turn": np.int64,
    "think_s": np.float64,
    "parent": np.int64,
    "adapter": np.int64,
}
"""Columns with one value a request, in the order of files and frames."""

_RUN_COLUMNS = ("run_offsets", "run_start", "run_count")


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in the order of their arrival; n requests, m runs of block ids.

    Attributes
    ----------
    name
        What reports call it.
    arrival_s
        float64[n], sorted; 0 is the log's first instant, so the first value is >= 0.
    input_tokens, output_tokens
        int64[n]; input >= 1; an output of 0 is a prefill alone.
    session
        int64[n], 0 .. sessions - 1, all used. A request without a session is one of its own.
    turn
        int64[n], >= 0, position in the session's conversation.
    think_s
        float64[n], from the end of the session's previous answer to this arrival; NaN where
        unknown, as in first turns.
    parent
        int64[n], row of the request that spawned this one (a subagent's first), or -1.
    adapter
        int64[n], index of a LoRA adapter, or -1.
    block_tokens
        Tokens per prefix block; 0: the trace has no block ids, and nothing is known to be shared.
    partial_tail
        Whether a partly filled last block has an id: ceil(input / block_tokens) ids, else floor.
    run_offsets, run_start, run_count
        int64[n + 1], int64[m], int64[m]: block ids as runs (`tierlab.traces.runs`). Equal ids are
        equal blocks after equal prefixes, anywhere in the trace.
    source_sha256
        SHA-256 of the file that was read, in hex; empty for a generated trace.
    """

    name: str
    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    session: Ints
    turn: Ints
    think_s: Floats
    parent: Ints
    adapter: Ints
    block_tokens: int
    partial_tail: bool
    run_offsets: Ints
    run_start: Ints
    run_count: Ints
    source_sha256: str = ""

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def sessions(self) -> int:
        """The number of sessions."""
        return int(self.session.max(initial=-1)) + 1

    def blocks(self, row: int) -> Ints:
        """Return the prefix block ids of one request, from the prompt's start, int64[k]."""
        own = slice(self.run_offsets[row], self.run_offsets[row + 1])
        return runs.expand(self.run_start[own], self.run_count[own])

    def block_count(self, row: int) -> int:
        """Return how many block ids one request has."""
        return int(self.run_count[self.run_offsets[row] : self.run_offsets[row + 1]].sum())

    def block_counts(self) -> Ints:
        """Return how many block ids each request has, int64[n]."""
        return runs.row_sums(self.run_offsets, self.run_count)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Self:
        """Return the trace of some requests, by index or mask, in arrival order, each once.

        Arrivals, turns and block ids stay as they are; sessions are numbered anew; a parent that
        is not taken becomes -1.
        """
        chosen = np.arange(len(self))[rows]
        chosen = np.unique(chosen)
        offsets, picked = runs.take(self.run_offsets, chosen)
        columns = {name: getattr(self, name)[chosen] for name in ROW_COLUMNS}
        columns["session"] = np.unique(columns["session"], return_inverse=True)[1].astype(np.int64)
        columns["parent"] = _renumber(self.parent, chosen)
        return replace(
            self,
            **columns,
            run_offsets=offsets,
            run_start=self.run_start[picked],
            run_count=self.run_count[picked],
        )

    def to_frame(self) -> pl.DataFrame:
        """Return a polars table, one row a request (columns: `tierlab.traces.frame`)."""
        from tierlab.traces.frame import to_frame

        return to_frame(self)

    @classmethod
    def from_frame(
        cls,
        frame: pl.DataFrame,
        name: str,
        block_tokens: int = 0,
        partial_tail: bool = False,
        source_sha256: str = "",
    ) -> Self:
        """Return the trace of a table written by `to_frame`.

        Raises
        ------
        BadInput
            A column is absent or of another type, or the rows are no valid trace.
        """
        from tierlab.traces.frame import columns_of

        columns = columns_of(frame, name)
        trace = cls(
            name=name,
            block_tokens=block_tokens,
            partial_tail=partial_tail,
            source_sha256=source_sha256,
            **columns,
        )
        trace.validate(name)
        return trace

    def validate(self, where: str) -> None:
        """Check the whole contract of this class.

        Raises
        ------
        BadInput
            With the first row that breaks it; `where` names the file or generator.
        """
        _check_shapes(self, where)
        columns = {name: getattr(self, name) for name in ROW_COLUMNS}
        fault = rules.first_fault(columns) or _relation_fault(self)
        if fault is None and self.block_tokens:
            fault = rules.block_fault(self.input_tokens, _runs_of(self))
        if fault:
            problem = f"{fault.field} = {fault.value}"
            raise BadInput(f"{where}: row {fault.row}", problem, fault.accepted)
        used = _used(self.session, self.sessions)
        if used != self.sessions:
            raise BadInput(where, f"{used} of the sessions 0-{self.sessions - 1} occur", "all")


def _used(session: Ints, sessions: int) -> int:
    """Return how many of the sessions occur."""
    if sessions > len(session):
        return len(np.unique(session))
    seen = np.zeros(sessions, np.bool_)
    seen[session] = True
    return int(seen.sum())


def _renumber(parent: Ints, chosen: Ints) -> Ints:
    place = np.full(len(parent) + 1, -1, np.int64)  # the last entry answers parent = -1
    place[chosen] = np.arange(len(chosen))
    return place[parent[chosen]]


def _runs_of(trace: Trace) -> runs.Runs:
    return runs.Runs(
        trace.block_tokens,
        trace.partial_tail,
        trace.run_offsets,
        trace.run_start,
        trace.run_count,
    )


def _relation_fault(trace: Trace) -> rules.Fault | None:
    """Return the first row that contradicts another row."""
    earlier = np.append(trace.arrival_s[:1] < 0, trace.arrival_s[1:] < trace.arrival_s[:-1])
    checks = {
        "arrival_s": (earlier, "sorted times of 0 or more"),
        "session": (trace.session < 0, "0 or more"),
        "adapter": (trace.adapter < -1, "an index, or -1"),
        "parent": (
            (trace.parent < -1) | (trace.parent >= len(trace)) | _own_parent(trace.parent),
            "the row of another request, or -1",
        ),
    }
    for name, (bad, accepted) in checks.items():
        if bad.any():
            row = int(np.argmax(bad))
            return rules.Fault(row, name, getattr(trace, name)[row].item(), accepted)
    return None


def _own_parent(parent: Ints) -> NDArray[np.bool_]:
    child = np.flatnonzero(parent >= 0)
    found = np.zeros(len(parent), np.bool_)
    found[child] = parent[child] == child
    return found


def _check_shapes(trace: Trace, where: str) -> None:
    n, m = len(trace.arrival_s), len(trace.run_start)
    if n == 0:
        raise BadInput(where, "no requests", "a trace of 1 request or more")
    lengths = dict.fromkeys(ROW_COLUMNS, n) | dict(zip(_RUN_COLUMNS, (n + 1, m, m), strict=True))
    types = ROW_COLUMNS | dict.fromkeys(_RUN_COLUMNS, np.int64)
    for name, length in lengths.items():
        array = getattr(trace, name)
        if array.shape != (length,) or array.dtype != types[name]:
            what = f"{name} is {array.dtype}{list(array.shape)}"
            raise BadInput(where, what, f"{types[name].__name__}[{length}]")
    offsets = trace.run_offsets
    if offsets[0] != 0 or offsets[-1] != m or (np.diff(offsets) < 0).any():
        raise BadInput(where, "run_offsets do not cover the runs in order", f"0 rising to {m}")
    if trace.block_tokens < 0 or (trace.block_tokens == 0 and m):
        raise BadInput(where, f"block_tokens = {trace.block_tokens} with {m} runs", "1 or more")
