"""Measured times in a table of one's own: the columns of ``tierlab predict`` and ``seconds``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tierlab.hwmodels.time.silicon.fit import FEWEST
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.registry import KERNELS, VARIANTS, is_variant
from tierlab.hwmodels.time.silicon.shapes import read_shapes
from tierlab.hwmodels.time.silicon.windows import dropped, minds, without
from tierlab.hwmodels.time.times import TimeModel
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import DTYPES, OPS

if TYPE_CHECKING:
    import polars as pl

WRONG_UNIT = 30.0
"""Median factor from the roofline beyond which times must be in another unit."""


def read_table(frame: pl.DataFrame, roofline: TimeModel, where: str) -> list[Measured]:
    """Split a table of times by kernel.

    Parameters
    ----------
    frame
        Columns as `read_shapes` takes them, ``seconds``, and maybe ``version``.
    roofline
        Of the device; it tells whether the unit can be right.
    where
        The file, for errors.

    Raises
    ------
    BadInput
        ``seconds`` is missing, not positive or in another unit, an operation has no kernel
        model, or a kernel has too few rows.
    """
    if "seconds" not in frame.columns:
        raise BadInput(where, "column 'seconds' is missing", "seconds, the time of each call")
    extra = [c for c in ("seconds", "version") if c in frame.columns]
    ops = read_shapes(frame.drop(extra), where)
    seconds = _seconds(frame, where)
    labels = _labels(frame)
    ops = without(ops, dropped(ops, np.array([minds(kernel) for _, _, kernel in labels])))
    kinds = zip(ops.op, is_variant(ops), ops.dtype, ops.kv_dtype, ops["window"] > 0, strict=True)
    keys = list(zip(kinds, labels, strict=True))
    parts = []
    for key in dict.fromkeys(keys):
        rows = np.array([k == key for k in keys])
        (code, variant, dtype, stored, windowed), (framework, version, kernel) = key
        op = VARIANTS[OPS[code]] if variant else OPS[code]
        if op not in KERNELS:
            raise BadInput(where, f"{op} has no kernel model yet", ", ".join(KERNELS))
        name = KernelKey(
            op, DTYPES[dtype], DTYPES[stored], framework, version, kernel, bool(windowed)
        )
        part = Measured(name, where, ops.take(rows), seconds[rows])
        check_part(part, roofline, where)
        parts.append(part)
    return parts


def _seconds(frame: pl.DataFrame, where: str) -> np.ndarray:
    import polars as pl

    if not frame["seconds"].dtype.is_numeric():
        raise BadInput(f"{where}: seconds", f"holds {frame['seconds'].dtype}", "numbers")
    values = frame["seconds"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    bad = np.flatnonzero(~np.isfinite(values) | (values <= 0))
    if len(bad):
        what = f"seconds is {values[bad[0]]:g}"
        raise BadInput(f"{where}: row {bad[0] + 1}", what, "a finite number over 0")
    return np.asarray(values)


def _labels(frame: pl.DataFrame) -> list[tuple[str, str, str]]:
    columns = []
    for name in ("framework", "version", "kernel"):
        given = frame[name].to_list() if name in frame.columns else [None] * len(frame)
        columns.append([str(v).lower() if v is not None else "measured" for v in given])
    return list(zip(*columns, strict=True))


def check_part(part: Measured, roofline: TimeModel, where: str) -> None:
    """Refuse too few rows of a kernel, and times in what must be another unit."""
    if len(part) < FEWEST:
        what = f"only {len(part)} rows of {part.key.label()}"
        raise BadInput(where, what, f"{FEWEST} or more of each kernel")
    ratio = float(np.median(part.seconds / roofline.predict(part.ops).seconds))
    if not 1 / WRONG_UNIT < ratio < WRONG_UNIT:
        what = f"{part.key.label()} takes {ratio:.3g} x what the datasheet allows to expect"
        raise BadInput(where, what, "times in seconds, of this device")
