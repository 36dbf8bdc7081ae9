"""Files of ``tierlab calibrate --device`` as measured times of operations.

They hold more than operations: copies, files, kernels that time models do not know. What a time
model can take is chosen here: on an idle device, of operations and types that have a column here,
and of each operation by the kernel that was measured at the most shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tierlab.hwmodels.time.silicon.aliases import NAMES, translate
from tierlab.hwmodels.time.tablefile import MIN_ROWS, Header, Measured
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.measure.output import load
from tierlab.kernels.ops.table import COLUMNS, DTYPES, OPS, OpTable

Row = Mapping[str, Any]
OWN_SELECTION = "top"
"""What `kernels/measure` calls the kernel that chooses the largest of each row."""
SELECTION = "top_k"


def operation_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that time models can take; see above."""
    known = [told for r in rows if _known(told := _told(r))]
    counts = Counter((_family(r), r.get("kernel")) for r in known)
    most: dict[tuple[Any, ...], tuple[int, Any]] = {}
    for (family, kernel), count in counts.items():
        most[family] = max(most.get(family, (0, "")), (count, kernel or ""))
    return [r for r in known if (r.get("kernel") or "") == most[_family(r)][1]]


def _told(row: Row) -> Row:
    """Return a row of our own selection under the name and columns that time models know."""
    if row["op"] != OWN_SELECTION:
        return row
    shape = dict(pair.split("=") for pair in str(row.get("shape", "")).split())
    rows, width = (float(shape.get(name, 0)) for name in ("rows", "width"))
    return {**row, "op": SELECTION, "batch": 1, "q_len": 1, "heads": rows, "kv_len": width}


def _known(row: Row) -> bool:
    types = row.get("dtype"), row.get("kv_dtype", "none")
    idle = row.get("load", "idle") == "idle"
    named = row["op"] in OPS or row["op"] == SELECTION
    return bool(idle and named and all(t in DTYPES for t in types))


def _family(row: Row) -> tuple[Any, ...]:
    return row["op"], row["dtype"], row.get("kv_dtype", "none")


def read_json(path: Path, where: str) -> Measured:
    """Read the operations of a file, and where they come from.

    Raises
    ------
    BadInput
        The file is bad, or holds fewer than `MIN_ROWS` rows of every operation.
    """
    provenance, rows = load(path, where)
    found = operation_rows(rows)
    counts = Counter(r["op"] for r in found)
    kept = [r for r in found if counts[r["op"]] >= MIN_ROWS]
    if not kept:
        accepted = f"kernels measured at {MIN_ROWS} shapes or more"
        raise BadInput(str(path), "no operation has enough rows", accepted)
    seconds = np.array([float(r["seconds"]) for r in kept])
    return Measured(_header(provenance, path), table_of(kept, str(path)), seconds)


def table_of(rows: Sequence[Row], where: str) -> OpTable:
    """Return the shapes of rows.

    Raises
    ------
    BadInput
        A shape is no number.
    """
    values = np.zeros((len(COLUMNS), len(rows)))
    for i, name in enumerate(COLUMNS):
        for j, row in enumerate(rows):
            value = row.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise BadInput(where, f"{name} is {value!r}", "a number, 0 or more")
            values[i, j] = value

    def codes(name: str, names: tuple[str, ...]) -> np.ndarray:
        return np.array([names.index(r.get(name, names[0])) for r in rows], np.int8)

    return translate(
        OpTable(codes("op", NAMES), codes("dtype", DTYPES), codes("kv_dtype", DTYPES), values)
    )


def _header(provenance: Mapping[str, Any], path: Path) -> Header:
    for key in ("device", "date", "command"):
        if not isinstance(provenance.get(key), str):
            raise BadInput(str(path), f"provenance has no {key}", "its date, device and command")
    version = str(provenance.get("versions", {}).get("tierlab", "from source"))
    machine = str(provenance.get("device_says", provenance["device"]))
    return Header(
        provenance["device"], "tierlab", version, provenance["date"], machine, provenance["command"]
    )
