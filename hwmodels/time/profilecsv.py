"""Reads the CSV files of a profile folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import read_text


def read_rows(path: Path, columns: tuple[str, ...], where: str) -> list[dict[str, str]]:
    """Return the rows of a file that has these columns.

    Raises
    ------
    BadInput
        There is no such file, it is no text, a column is missing, or there are no rows.
    """
    if not path.is_file():
        raise BadInput(where, f"no such file: {path}", "a profile folder")
    reader = csv.DictReader(read_text(path, where).splitlines())
    missing = [c for c in columns if c not in (reader.fieldnames or ())]
    if missing:
        raise BadInput(f"{path}:1", f"no column {missing[0]!r}", ", ".join(columns))
    rows = list(reader)
    if not rows:
        raise BadInput(str(path), "no rows", ", ".join(columns))
    return rows


def number(row: dict[str, str], column: str, where: str) -> float:
    """Return a cell as a finite number from 0 on; a time is above 0.

    Raises
    ------
    BadInput
        It is none.
    """
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value) or value < 0 or (column.endswith("_us") and value == 0):
        raise BadInput(where, f"{column} = {row[column]!r}", "a number above 0")
    return value
