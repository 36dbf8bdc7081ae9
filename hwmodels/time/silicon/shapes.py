"""Tables of shapes, in and out: the columns of ``tierlab predict``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.schedules.asked import FRAMEWORK, asked
from tierlab.hwmodels.time.schedules.registry import SCHEDULES
from tierlab.hwmodels.time.silicon.aliases import ALIASES, translate
from tierlab.hwmodels.time.silicon.aliases import NAMES as EVERY
from tierlab.hwmodels.time.silicon.calibration import Calibration
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.model import Silicon
from tierlab.hwmodels.time.times import SOURCES, Times
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.kernels.ops.routing import ACCEPTED, EVEN, MOST, UNIFORM
from tierlab.kernels.ops.table import COLUMNS, DTYPES, OPS, OpTable

if TYPE_CHECKING:
    import polars as pl

NAMES = ("op", "dtype", "kv_dtype", "framework", "kernel")
"""Columns of text; all others are numbers."""
NEEDED: dict[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k"),
    "grouped_gemm": ("m", "n", "k", "experts", "top_k"),
    "prefill_attention": ("q_len", "kv_len", "heads", "kv_heads", "head_dim"),
    "prefill_attention_backward": ("q_len", "kv_len", "heads", "kv_heads", "head_dim"),
    "decode_attention": ("kv_len", "heads", "kv_heads", "head_dim"),
    "mamba_prefill": ("q_len", "heads", "head_dim", "state_size"),
    "mamba_decode": ("heads", "head_dim", "state_size"),
    "elementwise": ("bytes",),
    "sample": ("m", "n"),
    "all_reduce": ("devices", "bytes"),
    "all_gather": ("devices", "bytes"),
    "reduce_scatter": ("devices", "bytes"),
    "all_to_all": ("devices", "bytes"),
} | {name: alias.needs for name, alias in ALIASES.items()}
"""Operation -> columns that must be positive."""
_ONE = ("batch", "q_len")
_ATTENTION = ("prefill_attention", "decode_attention", "prefill_attention_backward")


def read_shapes(frame: pl.DataFrame, where: str) -> OpTable:
    """Turn a table of shapes into operations.

    Raises
    ------
    BadInput
        A column or name is unknown, or a value is missing or negative; the row is named.
    """
    import polars as pl

    known = (*NAMES, *COLUMNS)
    for name in frame.columns:
        if name not in known:
            raise BadInput(where, f"unknown column {name!r}", near(name, known))
    if "op" not in frame.columns:
        raise BadInput(where, "column 'op' is missing", ", ".join(EVERY))
    if frame.is_empty():
        raise BadInput(where, "holds no rows", "one shape or more")
    op = _codes(frame, "op", EVERY, None, where)
    dtype = _codes(frame, "dtype", DTYPES, "bf16", where)
    kv_dtype = _codes(frame, "kv_dtype", DTYPES, "none", where)
    attention = np.isin(op, [OPS.index(name) for name in _ATTENTION])
    kv_dtype = np.where(attention & (kv_dtype == 0), dtype, kv_dtype).astype(np.int8)
    values = np.zeros((len(COLUMNS), len(frame)))
    for i, name in enumerate(COLUMNS):
        default = 1.0 if name in _ONE else 0.0
        if name in frame.columns:
            column = frame[name]
            numbers = column.dtype.is_numeric() or column.null_count() == len(column)
            if not numbers:
                raise BadInput(f"{where}: {name}", f"holds {column.dtype}", "numbers")
            values[i] = column.cast(pl.Float64).fill_null(default).to_numpy()
        else:
            values[i] = default
    ops = OpTable(op, dtype, kv_dtype, values)
    _check(ops, where)
    return translate(ops)


def _codes(
    frame: pl.DataFrame, name: str, names: tuple[str, ...], default: str | None, where: str
) -> NDArray[np.int8]:
    import polars as pl

    if name not in frame.columns:
        return np.full(len(frame), names.index(default or names[0]), np.int8)
    column = frame[name].cast(pl.String).fill_null(default or "")
    unknown = [v for v in column.unique() if v not in names]
    if unknown:
        row = int(np.flatnonzero((column == unknown[0]).to_numpy())[0]) + 1
        raise BadInput(f"{where}: row {row}", f"{name} is {unknown[0]!r}", ", ".join(names))
    codes = column.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int8)
    return np.asarray(codes)


def _check(ops: OpTable, where: str) -> None:
    bad = ~np.isfinite(ops.values) | (ops.values < 0)
    if bad.any():
        place, row = (int(i[0]) for i in np.nonzero(bad))
        what = f"{COLUMNS[place]} is {ops.values[place, row]:g}"
        raise BadInput(f"{where}: row {row + 1}", what, "a finite number, not negative")
    routing = ops["routing"]
    strange = np.flatnonzero(((routing > EVEN) & (routing < UNIFORM)) | (routing > MOST))
    if len(strange):
        what = f"routing is {routing[strange[0]]:g}"
        raise BadInput(f"{where}: row {strange[0] + 1}", what, ACCEPTED)
    for code in np.unique(ops.op):
        mask = ops.op == code
        for column in NEEDED[EVERY[code]]:
            missing = mask & (ops[column] <= 0)
            if missing.any():
                row = int(np.flatnonzero(missing)[0]) + 1
                what = f"{EVERY[code]} without {column}"
                raise BadInput(f"{where}: row {row}", what, f"{column} over 0")
    attention = (ops["kv_heads"] > 0) & (ops["kv_len"] > 0)
    uneven = attention & (ops["heads"] < ops["kv_heads"])
    short = attention & (ops["kv_len"] < ops["q_len"])
    narrow = (ops.op == OPS.index("decode_attention")) & (ops["head_dim"] < ops["latent_rank"])
    absorbed = (ops.op == OPS.index("prefill_attention_backward")) & (ops["latent_rank"] > 0)
    for rows, what, accepted in (
        (absorbed, "gradients with latent_rank", "none: head_dim and v_head_dim, not absorbed"),
        (uneven, "fewer heads than kv_heads", "no less"),
        (short, "kv_len under q_len", "no less"),
        (narrow, "head_dim under latent_rank", "both parts: 512 + 64 rotary of DeepSeek's latent"),
    ):
        if rows.any():
            row = int(np.flatnonzero(rows)[0]) + 1
            raise BadInput(f"{where}: row {row}", what, accepted)


def predict_shapes(
    frame: pl.DataFrame,
    calibration: Calibration,
    make: Callable[[Calibration], Silicon],
    machine: Machine,
    where: str,
) -> pl.DataFrame:
    """Return `frame` with its times.

    Parameters
    ----------
    frame
        Shapes, as `read_shapes` takes them; ``framework`` and ``kernel`` choose among the
        calibration's kernels, null means its default; or a schedule (`schedules.asked`).
    calibration, make
        Fitted kernels, and what makes a model of some of them.
    machine
        The device, for schedules.
    where
        For errors.

    Raises
    ------
    BadInput
        As `read_shapes`; the calibration has no such framework or kernel; or there is no such
        schedule, or it cannot say a row.
    """
    import polars as pl

    ops = read_shapes(frame, where)
    seconds, p10, p90 = np.empty((3, len(ops)))
    source, beyond = np.empty(len(ops), np.uint8), np.empty(len(ops), np.bool_)
    used: NDArray[np.object_] = np.empty(len(ops), np.object_)
    for rows, wanted in _choices(frame):
        if str(wanted.get("framework")).lower() == FRAMEWORK:
            times, used[rows] = asked(wanted.get("kernel"), ops, rows, machine, where)
        else:
            model = make(_only(calibration, wanted, f"{where}: row {rows[0] + 1}"))
            times, member = model.explain(ops.take(rows))
            used[rows] = np.array([*model.kernels(), "roofline"], object)[member]
        _place(times, rows, seconds, p10, p90, source, beyond)
    return frame.drop([c for c in ("kernel", "framework") if c in frame.columns]).with_columns(
        kernel=pl.Series(used.tolist(), dtype=pl.String),
        seconds=seconds,
        seconds_p10=p10,
        seconds_p90=p90,
        source=pl.Series(np.array(SOURCES, object)[source].tolist(), dtype=pl.String),
        extrapolated=beyond,
    )


def _place(times: Times, rows: NDArray[np.int64], *into: NDArray[np.generic]) -> None:
    found: tuple[NDArray[Any], ...] = (
        times.seconds, times.p10, times.p90, times.source, times.extrapolated,
    )  # fmt: skip
    for column, values in zip(into, found, strict=True):
        column[rows] = values


def _choices(frame: pl.DataFrame) -> list[tuple[NDArray[np.int64], dict[str, object]]]:
    """Return the rows that ask for the same framework and kernel, with what they name."""
    columns = [c for c in ("framework", "kernel") if c in frame.columns]
    if not columns:
        return [(np.arange(len(frame)), {})]
    parts = frame.select(columns).with_row_index("_row").partition_by(columns, as_dict=True)
    made = []
    for names, part in parts.items():
        wanted: dict[str, object] = {}
        wanted.update((c, v) for c, v in zip(columns, names, strict=True) if v is not None)
        made.append((part["_row"].to_numpy().astype(np.int64), wanted))
    return made


def _only(calibration: Calibration, wanted: dict[str, object], where: str) -> Calibration:
    if not wanted:
        return calibration
    kept = calibration.kernels
    for column, value in wanted.items():
        spelled = str(value).lower()
        names = sorted({getattr(k.key, column) for k in kept})
        kept = tuple(k for k in kept if getattr(k.key, column) == spelled)
        if not kept:
            hint = f'framework = "{FRAMEWORK}"' if spelled in SCHEDULES else near(spelled, names)
            raise BadInput(where, f"{column} {value!r} is not calibrated", hint)
    return replace(calibration, kernels=kept)
