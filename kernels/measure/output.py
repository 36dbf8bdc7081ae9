"""Files of measurements: JSON with its provenance, one line a row, and NumPy arrays beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import read_text
from tierlab.kernels.base.whole import write_whole
from tierlab.kernels.measure.journal import WRITABLE

FORMAT = "tierlab-measured-1"
Rows = list[dict[str, Any]]


def dump(provenance: Mapping[str, Any], skipped: Mapping[str, str], rows: Rows) -> str:
    """Return the text of a file."""
    head = {"format": FORMAT, "provenance": dict(provenance), "skipped": dict(skipped)}
    lines = ",\n ".join(json.dumps(row) for row in rows)
    return json.dumps(head, indent=1)[:-2] + ',\n "rows": [\n ' + lines + "\n]}\n"


def write(path: Path, text: str | bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    BadInput
        It cannot be written; an earlier file stays.
    """
    data = text.encode() if isinstance(text, str) else text
    write_whole(path, lambda file: file.write_bytes(data), "-o", WRITABLE)


def load(path: Path, where: str) -> tuple[dict[str, Any], Rows]:
    """Read a file.

    Returns
    -------
    Its provenance and rows.

    Raises
    ------
    BadInput
        It cannot be read, or is no file of measurements.
    """
    try:
        table = json.loads(read_text(path, where))
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}:{error.lineno}", "not JSON", _ACCEPTED) from None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise BadInput(str(path), "no file of measurements", _ACCEPTED)
    rows, provenance = table.get("rows"), table.get("provenance")
    if not isinstance(provenance, dict) or not isinstance(rows, list) or not rows:
        raise BadInput(str(path), "holds no provenance or no rows", _ACCEPTED)
    for number, row in enumerate(rows, 1):
        _check(row, f"{path}: row {number}")
    return provenance, rows


_ACCEPTED = "what 'tierlab calibrate --device' writes"


def _check(row: Any, where: str) -> None:
    if not isinstance(row, dict) or not isinstance(row.get("op"), str):
        raise BadInput(where, "has no operation", '"op": a text')
    seconds = row.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e6:
        raise BadInput(where, f"seconds is {seconds!r}", "a time over 0 s")


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as arrays, one a column: text absent is "", a number absent is NaN."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: _column([row.get(name) for row in rows]) for name in names}


def _column(values: list[Any]) -> Any:
    if any(isinstance(v, str) for v in values):
        return np.array(["" if v is None else str(v) for v in values])
    return np.array([np.nan if v is None else float(v) for v in values])


def write_arrays(path: Path, rows: Rows) -> None:
    """Write the columns as a NumPy .npz.

    Raises
    ------
    BadInput
        It cannot be written.
    """
    import io

    buffer = io.BytesIO()
    np.savez(buffer, **columns(rows))
    write(path, buffer.getvalue())
