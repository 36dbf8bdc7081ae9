"""The table model: interpolates measured times, and leaves the rest to another model.

Rows are grouped by what must match exactly (operation, dtypes, heads, weights' n and k, ...); in
a group, times are interpolated over the axes that vary (tokens, batch, context). Of prefill
attention the context axis is the past, ``kv_len - q_len``, so that prompts without a past lie on
a grid. A row of no group goes to the fallback and keeps the fallback's source, but it counts as
extrapolated: the table says nothing about it.

The band is the p10 and p90 of the group's leave-one-out residuals. Outside the measured range
it widens by a factor of ``exp(PER_OCTAVE)`` a doubling, which is an assumption (2026-11), and the
row is flagged; so is a batch of mixed lengths where only equal ones were measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.grid import Estimate, Grid, make_grid
from tierlab.hwmodels.time.measuredjson import read_json
from tierlab.hwmodels.time.tablefile import Measured, read_measured
from tierlab.hwmodels.time.times import CALIBRATED, TimeModel, Times
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold
from tierlab.kernels.ops.table import COLUMNS, OPS, OpTable

Floats = NDArray[np.float64]
PER_OCTAVE = 0.1
ASSUMED_BAND = (0.8, 1.25)
"""Where a table has fewer than `MIN_RESIDUALS` inner nodes; an assumption (2026-11)."""
MIN_RESIDUALS = 8
NOISE = 0.01
"""No band is narrower than this on either side: repeats of one kernel differ; an assumption
(2026-11)."""
BIAS_GROUP = 100
"""Measured operations of code i err together as group ``BIAS_GROUP + i``."""
_WRONG_UNIT = 100.0
_MIXERS = np.random.default_rng(0).random(len(COLUMNS) + 3)
_SPREAD, _Q, _KV, _V_DIM, _DIM, _ROUTING, _EXPERTS = (
    COLUMNS.index(c)
    for c in ("kv_len_spread", "q_len", "kv_len", "v_head_dim", "head_dim", "routing", "experts")
)


@dataclass(frozen=True, eq=False)
class _Group:
    """One interpolable family: `fixed` axes have one measured value, `varying` are the grid's."""

    fixed: tuple[int, ...]
    fixed_values: Floats
    varying: tuple[int, ...]
    grid: Grid | None
    seconds: float
    low: float
    high: float

    def estimate(self, axes: Floats) -> Estimate:
        if self.grid is None:
            n = axes.shape[1]
            return Estimate(np.full(n, self.seconds), np.zeros(n))
        return self.grid.at(axes[list(self.varying)])


class TableModel:
    """Measured times, interpolated; source `calibrated`.

    One whose ``routing`` is 0 throughout answers for every routing of experts: it tells none.

    Parameters
    ----------
    measured
        Of one device, framework and version.
    fallback
        Answers for rows of no group.
    where
        The table's name for errors.

    Raises
    ------
    BadInput
        A group's shapes form no grid.
    """

    def __init__(self, measured: Measured, fallback: TimeModel, where: str) -> None:
        head = measured.header
        self._name = f"{head.device}, {head.framework} {head.version}, measured {head.date}"
        self._fallback = fallback
        self._axes = [COLUMNS.index(a) for a in head.axes]
        told = self._axes if measured.ops["routing"].any() else [*self._axes, _ROUTING]
        self._exact = [i for i in range(len(COLUMNS)) if i not in told]
        exact, axes = self._exact_columns(measured.ops), self._axis_columns(measured.ops)
        hashes = _mix(exact)
        self._hashes, first, index = np.unique(hashes, return_index=True, return_inverse=True)
        self._keys = exact[:, first]
        rows = [np.flatnonzero(index.ravel() == g) for g in range(len(first))]
        made = [self._group(axes[:, r], measured.seconds[r], where) for r in rows]
        self._groups = [_with_band(group, made) for group in made]

    @property
    def name(self) -> str:
        """Device, framework, version and date of the measurements."""
        return self._name

    def predict(self, ops: OpTable) -> Times:
        """Return the durations of `ops`, vectorised."""
        exact, axes = self._exact_columns(ops), self._axis_columns(ops)
        group = self._find(exact)
        out = _empty(len(ops), ops)
        for g in np.unique(group[group >= 0]):
            rows = np.flatnonzero(group == g)
            rows = rows[self._covered(self._groups[g], axes[:, rows])]
            _write(out, rows, self._groups[g], axes[:, rows])
        _delegate(out, self._fallback, ops)
        return out

    def _group(self, axes: Floats, seconds: Floats, where: str) -> _Group:
        varies = (axes != axes[:, :1]).any(axis=1)
        varying = tuple(np.flatnonzero(varies).tolist())
        fixed = tuple(np.flatnonzero(~varies).tolist())
        grid = make_grid(axes[list(varying)].T, seconds, where) if varying else None
        middle = float(np.median(seconds))
        return _Group(fixed, axes[list(fixed), 0], varying, grid, middle, 1.0, 1.0)

    def _covered(self, group: _Group, axes: Floats) -> NDArray[np.bool_]:
        tolerant = [a for a in group.fixed if self._axes[a] != _SPREAD]
        values = [v for a, v in zip(group.fixed, group.fixed_values, strict=True) if a in tolerant]
        same: NDArray[np.bool_] = (axes[tolerant] == np.array(values)[:, None]).all(axis=0)
        return same

    def _exact_columns(self, ops: OpTable) -> Floats:
        values = ops.values[self._exact]
        if _V_DIM in self._exact and _DIM in self._exact:
            v, dim = self._exact.index(_V_DIM), self._exact.index(_DIM)
            values[v] = np.where(values[v] == values[dim], 0.0, values[v])
        if _EXPERTS in self._exact:
            place, small = self._exact.index(_EXPERTS), ops.op == OPS.index("elementwise")
            values[place] = np.where(small, 0.0, values[place])
        stored = np.where(ops.kv_dtype == 0, ops.dtype, ops.kv_dtype)
        return np.vstack([ops.op, ops.dtype, stored, values])

    def _axis_columns(self, ops: OpTable) -> Floats:
        axes = ops.values[self._axes]
        if _KV in self._axes and _Q in self._axes:
            past = ops.values[_KV] - ops.values[_Q]
            prefill = ops.op == OPS.index("prefill_attention")
            axes[self._axes.index(_KV)] = np.where(prefill, past, ops.values[_KV])
        return axes

    def _find(self, exact: Floats) -> NDArray[np.int64]:
        place = np.searchsorted(self._hashes, _mix(exact)).clip(max=len(self._hashes) - 1)
        same = (self._keys[:, place] == exact).all(axis=0)
        return np.where(same, place, -1)


def load_table(
    path: Path, where: str, fallback: TimeModel, device: str | None = None
) -> TableModel:
    """Read a table of measured times; see `tablefile` for the format.

    Parameters
    ----------
    path
        A CSV with its header beside it, a folder, or a file of ``tierlab calibrate --device``.
    where
        What the path was given to, for errors.
    fallback
        Answers where the table is silent, and tells whether the table's unit can be right.
    device
        The device that the times must be of.

    Raises
    ------
    BadInput
        The files are bad, of another device, in a wrong unit, or form no grid.
    """
    measured = read_json(path, where) if path.suffix == ".json" else read_measured(path, where)
    found = measured.header.device
    if device is not None and _short(found) != _short(device):
        raise BadInput(str(path), f"times of {found!r}, not of {device!r}", f'device = "{device}"')
    _check_unit(measured, fallback, str(path))
    return TableModel(measured, fallback, str(path))


def _short(device: str) -> str:
    return fold(device).removeprefix("nvidia-")


def _check_unit(measured: Measured, fallback: TimeModel, where: str) -> None:
    expected = fallback.predict(measured.ops).seconds
    ratio = float(np.median(measured.seconds / expected))
    if not 1 / _WRONG_UNIT < ratio < _WRONG_UNIT:
        what = f"times are {ratio:.3g} x what the device's datasheet allows to expect"
        raise BadInput(where, what, "times in the unit that their column names")


def _mix(exact: Floats) -> Floats:
    """Hash columns to one number a row; sums run column by column, so equal rows hash equal."""
    total = np.zeros(exact.shape[1])
    for factor, column in zip(_MIXERS, exact, strict=False):
        total += factor * column
    return total


def _with_band(group: _Group, every: list[_Group]) -> _Group:
    own = group.grid.residuals if group.grid else np.zeros(0)
    if len(own) < MIN_RESIDUALS:
        own = np.concatenate([g.grid.residuals for g in every if g.grid] or [own])
    low, high = np.log(ASSUMED_BAND)
    if len(own) >= MIN_RESIDUALS:
        low, high = np.quantile(own, (0.1, 0.9))
    return _Group(
        group.fixed,
        group.fixed_values,
        group.varying,
        group.grid,
        group.seconds,
        float(min(low, -NOISE)),
        float(max(high, NOISE)),
    )


def _empty(n: int, ops: OpTable) -> Times:
    seconds, p10, p90 = np.full((3, n), np.nan)
    group = ops.op.astype(np.int32) + np.int32(BIAS_GROUP)
    source = np.full(n, CALIBRATED, np.uint8)
    return Times(seconds, p10, p90, source, np.zeros(n, np.bool_), group)


def _write(out: Times, rows: NDArray[np.int64], group: _Group, axes: Floats) -> None:
    found = group.estimate(axes)
    octaves = np.maximum(
        found.octaves, (axes[list(group.fixed)] != group.fixed_values[:, None]).any(axis=0)
    )
    extra = PER_OCTAVE * octaves
    out.seconds[rows] = found.seconds
    out.p10[rows] = found.seconds * np.exp(group.low - extra)
    out.p90[rows] = found.seconds * np.exp(group.high + extra)
    out.extrapolated[rows] = octaves > 0


def _delegate(out: Times, fallback: TimeModel, ops: OpTable) -> None:
    rows = np.flatnonzero(np.isnan(out.seconds))
    if len(rows) == 0:
        return
    other = fallback.predict(ops.take(rows))
    out.seconds[rows], out.p10[rows], out.p90[rows] = other.seconds, other.p10, other.p90
    out.source[rows], out.bias_group[rows] = other.source, other.bias_group
    out.extrapolated[rows] = True
