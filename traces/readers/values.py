"""Cells of a generic log to arrays, each refusal with its line, column and value."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log
from tierlab.traces.readers import dates
from tierlab.traces.readers.jsonl import LARGEST
from tierlab.traces.readers.tables import MISSING, Table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def integers(log: Log, table: Table, name: str) -> Ints:
    """Return int64[k]; ``12.0`` counts as 12, as tables with gaps write it."""
    values = numbers(log, table, name)
    bad = np.flatnonzero(~(np.isfinite(values) & (values == np.trunc(values))))
    if len(bad):
        row = int(bad[0])
        raise log.fault(table.line[row], name, table.columns[name][row], "an integer")
    return values.astype(np.int64)


def numbers(
    log: Log, table: Table, name: str, blank: bool = False, accepted: str = "a number"
) -> Floats:
    """Return float64[k]; an empty cell is NaN where `blank` allows it."""
    cells = table.columns[name]
    fast = _plain_numbers(cells, table.text)
    if fast is not None:
        return fast
    found = []
    for row, cell in enumerate(cells):
        empty = cell is MISSING or cell is None or cell == ""
        if empty and not blank:
            raise _absent(log, table, name, row)
        value = math.nan if empty else _number(cell, table.text)
        if value is None or (math.isnan(value) and not blank):
            raise log.fault(table.line[row], name, cell, accepted)
        if abs(value) >= LARGEST:
            raise log.fault(table.line[row], name, cell, f"a number below {LARGEST:.0e}")
        found.append(value)
    return np.array(found, np.float64)


def _plain_numbers(cells: Sequence[Any], text: bool) -> Floats | None:
    """Return all cells at once; None where any needs a look of its own."""
    if not set(map(type, cells)) <= ({str} if text else {int, float}):
        return None
    try:
        found = np.array(list(map(float, cells)), np.float64)
    except (ValueError, OverflowError):
        return None
    return found if (np.abs(found) < LARGEST).all() else None


def _number(cell: Any, text: bool) -> float | None:
    if isinstance(cell, bool) or not isinstance(cell, str if text else int | float):
        return None
    try:
        return float(cell)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def _absent(log: Log, table: Table, name: str, row: int) -> BadInput:
    return BadInput(log.place(table.line[row]), f"no value for {name!r}", "a value in every row")


def dates_ns(log: Log, table: Table, name: str) -> Ints:
    """Return int64[k], nanoseconds since 1970 in UTC (a time without zone is taken as UTC)."""
    fast = dates.alike_ns(table.columns[name])
    if fast is not None:
        return fast
    stamps, shifts = [], []
    for row, cell in enumerate(table.columns[name]):
        match = dates.ISO.fullmatch(cell.strip()) if isinstance(cell, str) else None
        if match is None or not dates.told_in_ns(match[1]):
            accepted = "an ISO 8601 time, as in the rows before"
            raise log.fault(table.line[row], name, _shown(cell), accepted)
        day, clock, fraction, zone = match.groups()
        stamps.append(f"{day}T{clock}.{fraction or '0'}")
        shifts.append(dates.zone_s(zone))
    return _stamps(log, table, name, stamps) - np.array(shifts, np.int64) * 10**9


def _stamps(log: Log, table: Table, name: str, stamps: list[str]) -> Ints:
    try:
        return np.array(stamps, "datetime64[ns]").astype(np.int64)
    except ValueError:
        row = next(i for i, stamp in enumerate(stamps) if not dates.exists(stamp))
        raise log.fault(
            table.line[row], name, table.columns[name][row], "a date that exists"
        ) from None


def keys(log: Log, table: Table, name: str) -> Sequence[Hashable]:
    """Return the keys of a column; an empty cell is None."""
    found: list[Hashable] = []
    for row, cell in enumerate(table.columns[name]):
        if not isinstance(cell, str | int | float | None) and cell is not MISSING:
            raise log.fault(table.line[row], name, cell, "text or a number")
        found.append(None if cell is MISSING or cell == "" else cell)
    return found


def _shown(cell: Any) -> Any:
    return "" if cell is MISSING else cell
