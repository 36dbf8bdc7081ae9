"""Chunks of a log against the rules: the first fault stops, or the faulty rows are left out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.traces import rules, runs
from tierlab.traces.log import Log
from tierlab.traces.readers.protocol import Chunk

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_RULED = ("arrival_s", "input_tokens", "output_tokens", "turn", "think_s")
_OPTIONAL = ("session", "turn", "think_s", "parent", "adapter")


def checked(chunks: Iterable[Chunk], log: Log, ordered: bool) -> Iterator[Chunk]:
    """Yield the chunks (keys as numbers) that have rows.

    Raises
    ------
    BadInput
        At the first row that breaks a rule, or whose clock goes back where `ordered`.
    """
    last_s = -np.inf
    for chunk in chunks:
        fault = _fault(chunk, last_s if ordered else None)
        if fault:
            raise _told(fault, chunk, log)
        if len(chunk.line):
            last_s = float(chunk.arrival_s[-1])
            yield chunk


def sifted(chunks: Iterable[Chunk], log: Log, ordered: bool) -> list[Chunk]:
    """Return the chunks without the rows that break a rule, each counted in the log's tally.

    Where the clock must not go back, the fewest rows are left out that put it in order. Times are
    from the first row that stays.
    """
    given = list(chunks)
    holds = [_holding(chunk, log) for chunk in given]
    if ordered:
        holds = _in_order(given, holds, log)
    kept = np.concatenate([*holds, np.zeros(0, np.bool_)])
    place = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    sound = [
        one if hold.all() else select(one, np.flatnonzero(hold))
        for one, hold in zip(given, holds, strict=True)
    ]
    sound = [_renumbered(chunk, place) for chunk in sound if len(chunk.line)]
    return _from_first(sound) if log.tally.skipped else sound


def select(chunk: Chunk, rows: Ints) -> Chunk:
    """Return the chunk of some of its rows; keys are numbers."""
    columns: dict[str, Any] = {
        name: getattr(chunk, name)[rows]
        for name in ("line", "arrival_s", "input_tokens", "output_tokens")
    }
    for name in _OPTIONAL:
        value = getattr(chunk, name)
        columns[name] = None if value is None else value[rows]
    return replace(chunk, **columns, blocks=chunk.blocks and runs.ordered(chunk.blocks, rows))


def _renumbered(chunk: Chunk, place: Ints) -> Chunk:
    if chunk.parent is None:
        return chunk
    known = np.where((chunk.parent >= -1) & (chunk.parent < len(place) - 1), chunk.parent, -1)
    return replace(chunk, parent=place[known])


def _from_first(chunks: list[Chunk]) -> list[Chunk]:
    """Set times from the first row that stayed: the reader may have set them from another."""
    first_s = chunks[0].arrival_s[0] if chunks else 0.0
    return [replace(chunk, arrival_s=chunk.arrival_s - first_s) for chunk in chunks]


def _holding(chunk: Chunk, log: Log) -> Bools:
    """Return which rows hold by themselves, bool[k]; count the others."""
    holds = np.ones(len(chunk.line), np.bool_)
    for name in _RULED:
        values = getattr(chunk, name)
        if values is not None and name in rules.RULES:
            holds &= rules.RULES[name][0](values)
    if chunk.blocks:
        holds &= ~rules.bad_blocks(chunk.input_tokens, chunk.blocks)
    bad = np.flatnonzero(~holds)
    told = bad[: log.tally.wanted(len(bad))]
    for row in told:
        alone = select(chunk, np.array([row]))
        fault = _fault(alone, None)
        if fault:
            log.tally.skip(_told(fault, alone, log))
    log.tally.skipped += len(bad) - len(told)
    return holds


def _in_order(chunks: list[Chunk], holds: list[Bools], log: Log) -> list[Bools]:
    kept = np.flatnonzero(np.concatenate([*holds, np.zeros(0, np.bool_)]))
    times_s = np.concatenate([*(chunk.arrival_s for chunk in chunks), np.zeros(0)])
    if not (np.diff(times_s[kept]) < 0).any():
        return holds
    whole = np.zeros(len(times_s), np.bool_)
    whole[kept[longest_rise(times_s[kept])]] = True
    lines = np.concatenate([chunk.line for chunk in chunks])
    name = chunks[0].fields.get("arrival_s", "arrival_s")
    for row in kept[~whole[kept]]:
        what = f"{name} is {times_s[row]:.9g} s after the first row"
        accepted = "a time between its neighbours': this format is written in order of arrival"
        log.tally.skip(BadInput(log.place(int(lines[row])), what, accepted))
    return np.split(whole, np.cumsum([len(hold) for hold in holds])[:-1])


def longest_rise(values: Floats) -> Ints:
    """Return the rows of a longest subsequence that never falls (patience sorting, O(n log n))."""
    tops: list[float] = []  # tops[k]: the smallest end of a rise of k + 1 values
    rows: list[int] = []
    before = np.full(len(values), -1, np.int64)
    for row, value in enumerate(values.tolist()):
        pile = bisect_right(tops, value)
        before[row] = rows[pile - 1] if pile else -1
        tops[pile : pile + 1] = [value]
        rows[pile : pile + 1] = [row]
    found = rows[-1:]
    while found and before[found[-1]] >= 0:
        found.append(int(before[found[-1]]))
    return np.array(found[::-1], np.int64)


def _told(fault: rules.Fault, chunk: Chunk, log: Log) -> BadInput:
    """Return the error in the log's words: its line, its name of the field, times in seconds."""
    field, line = chunk.fields.get(fault.field, fault.field), int(chunk.line[fault.row])
    if fault.field == "arrival_s":
        what = f"{field} is {fault.value:.9g} s after the first row"
        return BadInput(log.place(line), what, fault.accepted)
    unit = " s" if fault.field.endswith("_s") else ""
    return BadInput(log.place(line), f"{field} = {fault.value}{unit}", fault.accepted)


def _fault(chunk: Chunk, last_s: float | None) -> rules.Fault | None:
    columns = {name: getattr(chunk, name) for name in _RULED}
    found = rules.first_fault({k: v for k, v in columns.items() if v is not None})
    if found is None and chunk.blocks:
        found = rules.block_fault(chunk.input_tokens, chunk.blocks)
    if found is None and last_s is not None:
        back = np.flatnonzero(np.diff(chunk.arrival_s, prepend=last_s) < 0)
        if len(back):
            row = int(back[0])
            before = chunk.arrival_s[row - 1] if row else last_s
            accepted = f"{before:.9g} s or more: this format is written in order of arrival"
            return rules.Fault(row, "arrival_s", chunk.arrival_s[row].item(), accepted)
    return found
