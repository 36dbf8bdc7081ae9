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
        There is no such file, it is no text, a column is missing, there are no rows, or one has
        more or fewer cells than the head.
    """
    if not path.is_file():
        raise BadInput(where, f"no such file: {path}", "a profile folder")
    head, *lines = list(csv.reader(read_text(path, where).splitlines())) or [[]]
    missing = [c for c in columns if c not in head]
    if missing:
        raise BadInput(f"{path}:1", f"no column {missing[0]!r}", ", ".join(columns))
    for line, cells in enumerate(lines, 2):
        if len(cells) != len(head):
            raise BadInput(f"{path}:{line}", f"{len(cells)} cells", f"{len(head)} cells")
    if not lines:
        raise BadInput(str(path), "no rows", ", ".join(columns))
    return [dict(zip(head, cells, strict=True)) for cells in lines]


def usable(text: str, column: str) -> float | None:
    """Return a cell as a finite number from 0 on, a time above 0; None where it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    good = np.isfinite(value) and value >= 0 and (value > 0 or not column.endswith("_us"))
    return value if good else None


def number(row: dict[str, str], column: str, where: str) -> float:
    """Return a cell as a finite number from 0 on; a time is above 0.

    Raises
    ------
    BadInput
        It is none.
    """
    value = usable(row[column], column)
    if value is None:
        raise BadInput(where, f"{column} = {row[column]!r}", "a number above 0")
    return value
