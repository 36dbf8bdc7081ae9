"""Files of measured times: a CSV of shapes and times, and a TOML header with their provenance.

``gemm.csv`` stands beside ``gemm.toml``; in a folder, ``table.toml`` covers every ``*.csv``.

The header requires ``device`` (the catalogue's name), ``framework``, ``version``, ``date``,
``machine`` and ``command``; ``axes`` may list the columns to interpolate over.

The CSV requires ``op`` and one of ``seconds``, ``time_s``, ``time_ms``, ``time_us``, ``time_ns``;
``dtype`` (default bf16) and ``kv_dtype`` (default: as ``dtype``) may follow, and any column of
`tierlab.kernels.ops.table.COLUMNS` that varies or is not 0. Where ``routing``
(`tierlab.kernels.ops.routing`) is 0 throughout, the times stand for every routing of experts. Lines
that start with # are skipped.
"""

from __future__ import annotations

import csv
import datetime
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.tomlfile import read_toml, refuse_unknown
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near, read_text
from tierlab.kernels.ops.routing import ACCEPTED, is_routing
from tierlab.kernels.ops.table import COLUMNS, DTYPES, OPS, OpTable

TIME_COLUMNS = {"seconds": 1.0, "time_s": 1.0, "time_ms": 1e-3, "time_us": 1e-6, "time_ns": 1e-9}
PROVENANCE = ("device", "framework", "version", "date", "machine", "command")
AXES = ("batch", "q_len", "kv_len", "kv_len_spread", "m", "bytes")
"""Interpolated unless the header says otherwise; the other columns must match exactly."""
MIN_ROWS = 4
_PLAUSIBLE_S = (1e-8, 100.0)


@dataclass(frozen=True)
class Header:
    """Where measured times come from; `axes` are the columns to interpolate over."""

    device: str
    framework: str
    version: str
    date: str
    machine: str
    command: str
    axes: tuple[str, ...] = AXES


@dataclass(frozen=True, eq=False)
class Measured:
    """Measured times, float64[n] in s, of the operations `ops`."""

    header: Header
    ops: OpTable
    seconds: NDArray[np.float64]


def read_measured(path: Path, where: str) -> Measured:
    """Read a CSV with its header, or a folder of them.

    Raises
    ------
    BadInput
        A file or column is missing, a value is no number of its kind, or an operation has fewer
        than `MIN_ROWS` rows.
    """
    folder = path.is_dir()
    files = sorted(path.glob("*.csv")) if folder else [path]
    if not files:
        raise BadInput(where, f"no .csv in the folder {path}", "CSV files of measured times")
    header = _header(path / "table.toml" if folder else path.with_suffix(".toml"), where)
    parts = [_read_csv(file, where) for file in files]
    ops = OpTable.concat(p[0] for p in parts)
    _enough(ops, str(path))
    return Measured(header, ops, np.concatenate([p[1] for p in parts]))


def _header(path: Path, where: str) -> Header:
    if not path.is_file():
        what = f"{path} with the times' provenance is missing"
        raise BadInput(where, what, "a TOML file with " + ", ".join(PROVENANCE))
    table = read_toml(path, where)
    refuse_unknown(table, (*PROVENANCE, "axes", "notes"), str(path))
    texts = {key: _text(table, key, path) for key in PROVENANCE}
    return Header(**texts, axes=_axes(table, path))


def _text(table: dict[str, Any], key: str, path: Path) -> str:
    value = table.get(key)
    if isinstance(value, datetime.date):
        value = value.isoformat()
    if not isinstance(value, str) or not value.strip():
        raise BadInput(str(path), f"{key} = {value!r}: no provenance", f'{key} = "..."')
    return value


def _axes(table: dict[str, Any], path: Path) -> tuple[str, ...]:
    axes = table.get("axes", list(AXES))
    known = isinstance(axes, list) and all(a in COLUMNS for a in axes)
    if not known or not axes:
        raise BadInput(f"{path}: axes", f"{axes!r} is no list of columns", ", ".join(COLUMNS))
    return tuple(axes)


def _read_csv(path: Path, where: str) -> tuple[OpTable, NDArray[np.float64]]:
    lines = _lines(read_text(path, where))
    head = next(lines, (1, []))[1]
    time = _check_columns(head, path)
    rows: list[list[float]] = []
    for number, cells in lines:
        spot = f"{path}:{number}"
        if len(cells) != len(head):
            raise BadInput(spot, f"{len(cells)} cells under {len(head)} columns", "one a column")
        rows.append([_cell(k, v, spot) for k, v in zip(head, cells, strict=True)])
    if not rows:
        raise BadInput(str(path), "no rows", f"{MIN_ROWS} measured times or more an operation")
    values = np.array(rows).T
    return _ops(head, values), values[head.index(time)] * TIME_COLUMNS[time]


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text.splitlines())
    for cells in reader:
        if cells and not cells[0].lstrip().startswith("#"):
            yield reader.line_num, [c.strip() for c in cells]


def _check_columns(head: list[str], path: Path) -> str:
    known = ("op", "dtype", "kv_dtype", *COLUMNS, *TIME_COLUMNS)
    where = f"{path}:1"
    if "op" not in head:
        raise BadInput(where, "column 'op' is missing", "op, " + ", ".join(TIME_COLUMNS))
    for name in head:
        if name not in known or head.count(name) > 1:
            kind = "unknown" if name not in known else "repeated"
            raise BadInput(where, f"{kind} column {name!r}", near(name, known))
    times = [name for name in head if name in TIME_COLUMNS]
    if len(times) != 1:
        raise BadInput(where, f"{len(times)} time columns", "one of " + ", ".join(TIME_COLUMNS))
    return times[0]


def _cell(column: str, text: str, where: str) -> float:
    choices = {"op": OPS, "dtype": DTYPES, "kv_dtype": DTYPES}.get(column)
    if choices is not None:
        if text not in choices:
            raise BadInput(where, f"unknown {column} {text!r}", near(text, choices))
        return float(choices.index(text))
    try:
        value = float(text)
    except ValueError:
        raise BadInput(where, f"{column} {text!r} is no number", "a number") from None
    if column in TIME_COLUMNS:
        return _plausible(column, value, where)
    if not math.isfinite(value) or value < 0:
        raise BadInput(where, f"{column} {text} is not a size", "a finite number, 0 or more")
    if column == "routing" and not is_routing(value):
        raise BadInput(where, f"routing is {text}", ACCEPTED)
    return value


def _plausible(column: str, value: float, where: str) -> float:
    low, high = _PLAUSIBLE_S
    if not low <= value * TIME_COLUMNS[column] <= high:
        what = f"{column} {value} is not the time of an operation"
        raise BadInput(where, what, f"{low:g} s to {high:g} s, in the unit that the column names")
    return value


def _ops(head: list[str], values: NDArray[np.float64]) -> OpTable:
    def codes(name: str, default: NDArray[np.int8]) -> NDArray[np.int8]:
        return values[head.index(name)].astype(np.int8) if name in head else default

    n = values.shape[1]
    dtype = codes("dtype", np.full(n, DTYPES.index("bf16"), np.int8))
    columns = np.zeros((len(COLUMNS), n))
    for i, name in enumerate(COLUMNS):
        if name in head:
            columns[i] = values[head.index(name)]
    return OpTable(codes("op", dtype), dtype, codes("kv_dtype", dtype), columns)


def _enough(ops: OpTable, where: str) -> None:
    for code, count in zip(*np.unique(ops.op, return_counts=True), strict=True):
        if count < MIN_ROWS:
            what = f"{count} rows of {OPS[code]} are too few to interpolate"
            raise BadInput(where, what, f"{MIN_ROWS} rows or more")
