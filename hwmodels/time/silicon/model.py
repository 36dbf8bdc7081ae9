"""The silicon time model: fitted kernels where a calibration has them, the roofline elsewhere.

Source `calibrated` means that this device was measured; with constants of other architectures
(``--datasheet``, and operations that were not measured on it) the same formulas answer as
`datasheet`. What neither covers comes from the roofline and keeps the roofline's band; so do rows
without work, such as a policy's product with none of the keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.roofline import Roofline
from tierlab.hwmodels.time.silicon import backward, engines
from tierlab.hwmodels.time.silicon.calibration import ANY_DEVICE, Calibration
from tierlab.hwmodels.time.silicon.fitted import Fitted, Predicted
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import SEVERAL
from tierlab.hwmodels.time.silicon.moe_layer import ALONE
from tierlab.hwmodels.time.silicon.registry import KERNELS, VARIANTS, is_variant
from tierlab.hwmodels.time.silicon.repeats import run_starts
from tierlab.hwmodels.time.silicon.shared import shared_launch, shares, together
from tierlab.hwmodels.time.silicon.windows import dropped, minds, without
from tierlab.hwmodels.time.times import CALIBRATED, DATASHEET, SharedLaunch, TimeModel, Times
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OPS, OpTable, Work

Floats = NDArray[np.float64]
BIAS_GROUP = 200
"""First of this model's groups: one a kernel."""
_CHUNK = 16384
"""Rows at a time: intermediate columns stay in the processor's cache."""
_SAME = {"fp16": "bf16"}
"""Dtypes that run on the same kernels at the same rate."""
_ATTENTION = ("prefill_attention", "decode_attention", backward.OP)
_ATTENDS = np.array([op in _ATTENTION for op in OPS])
_MULTIPLIES = np.array([op in ("gemm", "grouped_gemm") for op in OPS])
_PLAIN = np.array([op not in ("gemm", "grouped_gemm", *_ATTENTION) for op in OPS])
"""Operations that one kernel does in every dtype: they move bytes."""
_PRODUCT = ("m", "n", "k")
_SEQUENCES = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim")
"""The sizes that a product or attention has, without one of which it has no work."""
_VARIANT = 2
"""What the number of all that selects a kernel has more for a variant: a bit of its own."""
_Rows = NDArray[np.int64] | slice


@dataclass(frozen=True, eq=False)
class _Member:
    fitted: Fitted
    code: int
    windowed: bool


class Silicon:
    """The time model of one device.

    Parameters
    ----------
    calibration
        Fitted kernels.
    machine
        The device.
    fallback
        Answers for operations that no fitted kernel does.
    others
        Kernels with constants of other GPUs, for what the calibration has none: an operation in
        dtypes that this device computes in.
    """

    def __init__(
        self,
        calibration: Calibration,
        machine: Machine,
        fallback: TimeModel,
        others: Sequence[Fitted] = (),
    ) -> None:
        self._calibration, self._machine, self._fallback = calibration, machine, fallback
        self._members = _defaults([k for k in calibration.kernels if _runs(k, machine)])
        known = {member.code for member in self._members}
        made = _defaults([k for k in others if _runs(k, machine)])
        self._members += [member for member in made if member.code not in known]
        self._of_code = np.full(_code(len(OPS), 0, 0, False, False), -1, np.int32)
        for g, member in enumerate(self._members):
            self._of_code[member.code] = g
        self._minds = np.array([minds(m.fitted.key.kernel) for m in self._members] or [False])
        self._sources = [_source(m.fitted) for m in self._members]

    @property
    def name(self) -> str:
        """Device and where the constants come from."""
        if self._calibration.device == ANY_DEVICE:
            return f"{self._machine.name}, silicon: its datasheet, constants of other GPUs"
        kinds = {f"{k.key.framework} {k.key.version}" for k in self._calibration.kernels}
        return f"{self._machine.name}, silicon: measured on it ({', '.join(sorted(kinds))})"

    def predict(self, ops: OpTable) -> Times:
        """Return the durations of `ops`, vectorised."""
        return self.explain(ops)[0]

    def middles(self, ops: OpTable) -> Times:
        """Return the durations; no kernel model says a band."""
        return self.explain(ops, bands=False)[0]

    def explain(self, ops: OpTable, *, bands: bool = True) -> tuple[Times, NDArray[np.int32]]:
        """Return the durations, and which kernel answered each row (-1: the fallback)."""
        out, member = _empty(len(ops)), self._member(ops)
        member[_void(ops)] = -1
        for g in np.flatnonzero(np.bincount(member + 1)) - 1:
            rows = np.flatnonzero(member == g)
            for start in range(0, len(rows), _CHUNK):
                self._answer(out, _span(rows[start : start + _CHUNK]), int(g), ops, bands)
        return out, member

    def launched(self, work: Work) -> Work:
        """Return it without what the measured times of its attention and experts include.

        Profiles and public tables time an engine's whole attention layer, which writes new keys
        and values first (`prefill`, `decode`); MLA's time kernels alone. Those of experts hold the
        choice, the activation and the sum (`moe`).
        """
        ops = work.ops
        small, goes = ops.op == OPS.index("elementwise"), np.zeros(len(ops), np.bool_)
        if self._hold(ops, _ATTENDS[ops.op]):
            goes |= small & (ops.kv_dtype != DTYPES.index("none"))
        if self._hold(ops, ops.op == OPS.index("grouped_gemm"), ALONE):
            goes |= small & (ops["experts"] > 0)
        if not goes.any():
            return work
        stays = _span(np.flatnonzero(~goes))
        return Work(ops.take(stays), work.step[stays], work.repeat[stays])

    def _hold(self, ops: OpTable, rows: NDArray[np.bool_], but: tuple[str, ...] = ()) -> bool:
        """Say whether whole layers were measured of all these rows: not by the schedules `but`."""
        if not rows.any():
            return False
        codes = _codes(ops)[rows]
        members = np.unique(self._of_code[codes])
        if members[0] < 0 or (codes & _VARIANT).any():
            return False
        return all(self._members[g].fitted.schedule not in but for g in members)

    def shared(
        self, prefill: Work, decode: Work, keys: Floats, band: str
    ) -> tuple[SharedLaunch, int] | None:
        """Return what decodes cost in the launch of chunks; None where kernels are launched apart.

        Parameters
        ----------
        prefill, decode
            The mixing of one chunk and of one decode, row by row of the same layers.
        keys
            float64[n], keys of a decode; those of `decode` say nothing, as of a window.
        band
            ``p10``, ``mid`` or ``p90``, of the chunks' kernel where it takes over 100 us.
        """
        parts, sources = [], {CALIBRATED}
        chunks, ones = _mixing(prefill.ops), _mixing(decode.ops)
        both = self._of_code[_codes(prefill.ops)[chunks]], self._of_code[_codes(decode.ops)[ones]]
        if len(chunks) != len(ones) or not len(ones) or min(map(np.min, both)) < 0:
            return None
        for row, g, h in zip(ones, *both, strict=True):
            one, other = self._members[g].fitted, self._members[h].fitted
            kind = shares(one, other)
            if kind is None or is_variant(decode.ops)[row]:
                return None
            layer = decode.ops.take(np.array([row]))
            found = shared_launch(kind, one, other, self._machine, layer, keys)
            factor = {"p10": one.bands.p10[2], "p90": one.bands.p90[2]}.get(band, 1.0)
            parts.append((found, factor * float(decode.repeat[row])))
            sources |= {self._sources[g], self._sources[h]}
        return together(parts), min(sources)

    def kernels(self) -> list[str]:
        """Return the name of the kernel behind each number of `explain`."""
        keys = [m.fitted.key for m in self._members]
        return [f"{k.framework} {k.version} {k.kernel}" for k in keys]

    def _member(self, ops: OpTable) -> NDArray[np.int32]:
        """Return the kernel of each row: of a window that an engine drops, the one without."""
        codes = _codes(ops)
        found: NDArray[np.int32] = self._of_code[codes]
        if not ops["window"].any():
            return found
        free = _ATTENDS[ops.op] & (found >= 0) & dropped(ops, self._minds[found])
        full = self._of_code[np.where(free, codes - 1, codes)]
        return np.where(free & (full >= 0), full, found)

    def _answer(self, out: Times, rows: _Rows, g: int, ops: OpTable, bands: bool) -> None:
        mine = ops.take(rows)
        if g < 0:
            _copy(out, rows, self._fallback.predict(mine))
            return
        if not self._members[g].windowed and mine["window"].any():
            mine = without(mine, mine["window"] > 0)
        starts, fitted = run_starts(mine), self._members[g].fitted
        if starts.all():
            found = fitted.predict(mine, self._machine, bands=bands)
        else:
            first, run = mine.take(starts), np.cumsum(starts) - 1
            found = fitted.predict(first, self._machine, bands=bands)
            found = Predicted(*(v[run] for v in found))
        out.seconds[rows], out.extrapolated[rows] = found.seconds, found.beyond
        out.p10[rows], out.p90[rows] = self._above_least(g, mine, found, bands), found.p90
        out.source[rows] = self._sources[g]
        out.bias_group[rows] = BIAS_GROUP + g

    def _above_least(self, g: int, ops: OpTable, found: Predicted, bands: bool) -> Floats:
        """Return p10 of products, but by constants of other GPUs no less than this one's limits."""
        other = self._fallback
        if not (bands and self._sources[g] == DATASHEET and _MULTIPLIES[ops.op[0]]):
            return found.p10
        if not isinstance(other, Roofline):
            return found.p10
        no_less: Floats = np.clip(other.least_s(ops), found.p10, found.seconds)
        return no_less


def _code(op: int, dtype: int, kv: int, windowed: bool, variant: bool) -> int:
    return ((op * len(DTYPES) + dtype) * len(DTYPES) + kv) * 4 + _VARIANT * variant + windowed


def _codes(ops: OpTable) -> NDArray[np.int64]:
    """Return one number for all that selects a kernel, int64[n]."""
    windowed = _ATTENDS[ops.op] & (ops["window"] > 0)
    base: NDArray[np.int64] = _BASE[ops.op, ops.dtype, ops.kv_dtype]
    return base + _VARIANT * is_variant(ops) + windowed


def _base(op: int, dtype: int, stored: int) -> int:
    """Return the number of an operation on two dtypes, for operations that a kernel each does."""
    if _PLAIN[op]:
        return _code(op, 0, 0, False, False)
    dtype, stored = (DTYPES.index(_SAME.get(DTYPES[d], DTYPES[d])) for d in (dtype, stored))
    stored = stored or dtype
    if _ATTENDS[op] and stored == DTYPES.index("fp8"):
        dtype = DTYPES.index("bf16")
    return _code(op, dtype, stored, False, False)


_BASE = np.array(
    [[[_base(o, d, s) for s in range(len(DTYPES))] for d in range(len(DTYPES))]
     for o in range(len(OPS))], np.int64,
)  # fmt: skip


def _void(ops: OpTable) -> NDArray[np.bool_]:
    """Say which rows have no work: one of their sizes is 0."""
    none, present = np.zeros(len(ops), np.bool_), np.bincount(ops.op, minlength=len(OPS)) > 0
    for has, sizes in ((_MULTIPLIES, _PRODUCT), (_ATTENDS, _SEQUENCES)):
        if (has & present).any():
            none |= has[ops.op] & np.logical_or.reduce([ops[name] <= 0 for name in sizes])
    return none


def _span(rows: NDArray[np.int64]) -> _Rows:
    """Return rising places as a slice where there are no others between: that copies nothing."""
    first, end = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
    return slice(first, end) if end - first == len(rows) else rows


def _defaults(kernels: Sequence[Fitted]) -> list[_Member]:
    """Return one kernel a code: the one fitted on the most points; full serves unfitted windows.

    Kernels for block-scaled weights come after those for scales per tensor: their public tables
    hold host time (docs/results/roofline_bands.md). So does ModelOpt's fp8 MoE, whose public times
    on Hopper are five times what its weights take to read (docs/results/silicon_others.md).
    """
    best: dict[int, _Member] = {}
    for one in sorted(kernels, key=lambda k: (_late(k.key.kernel), -k.points)):
        key = one.key
        stored = key.dtype if key.kv_dtype == "none" else key.kv_dtype
        name = KERNELS[key.op].op
        op, dtype, kv = OPS.index(name), DTYPES.index(key.dtype), DTYPES.index(stored)
        dtype, kv = (0, 0) if _PLAIN[op] else (dtype, kv)
        code = _code(op, dtype, kv, key.windowed, key.op in VARIANTS.values())
        best.setdefault(code, _Member(one, code, key.windowed))
    for code, member in list(best.items()):
        if not member.windowed and member.fitted.key.op in _ATTENTION:
            best.setdefault(code + 1, _Member(member.fitted, code + 1, True))
    return list(best.values())


def _runs(one: Fitted, machine: Machine) -> bool:
    """Say whether constants that stand for several devices are of a kernel that runs on this."""
    if one.key.version != SEVERAL:
        return True
    if not _computes(one, machine):
        return False
    if one.key.op == backward.OP:
        return one.schedule == backward.engine(machine)
    if one.schedule not in engines.NAMES:
        return True
    stored = one.key.dtype if one.key.kv_dtype == "none" else one.key.kv_dtype
    eight = bool(DTYPE_BYTES[DTYPES.index(stored)] < 2.0)
    return one.schedule == engines.engine(machine, eight=eight)


def _computes(one: Fitted, machine: Machine) -> bool:
    """Say whether a device has arithmetic in a kernel's dtype, or in one of the same rate."""
    alike = (one.key.dtype, *(d for d, same in _SAME.items() if same == one.key.dtype))
    return any(dtype in machine.flop_per_s for dtype in alike)


def _source(one: Fitted) -> int:
    """Return where a kernel's constants come from: several devices, or this one."""
    return DATASHEET if one.key.version == SEVERAL else CALIBRATED


def _late(kernel: str) -> bool:
    return "block" in kernel or "modelopt" in kernel


def _mixing(ops: OpTable) -> NDArray[np.int64]:
    """Return the rows that are no KV writes."""
    return np.flatnonzero(ops.op != OPS.index("elementwise"))


def _empty(n: int) -> Times:
    seconds, p10, p90 = np.full((3, n), np.nan)
    group = np.zeros(n, np.int32)
    return Times(seconds, p10, p90, np.zeros(n, np.uint8), np.zeros(n, np.bool_), group)


def _copy(out: Times, rows: _Rows, other: Times) -> None:
    out.seconds[rows], out.p10[rows], out.p90[rows] = other.seconds, other.p10, other.p90
    out.source[rows], out.extrapolated[rows] = other.source, other.extrapolated
    out.bias_group[rows] = other.bias_group
