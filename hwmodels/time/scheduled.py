"""A time model whose attention is answered by schedules that a scenario chooses.

Rows of attention go to `schedules`, all others to the time model beneath. What a measured layer
includes beside its kernel is counted once: a prompt's KV writes are launched apart, a decode's are
in the schedules' start (`Schedule.writes`). Decodes beside a chunk are launched apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time import times as base
from tierlab.hwmodels.time.schedules.registry import DECODE, PREFILL, SCHEDULES, Schedule
from tierlab.hwmodels.time.schedules.rows import refusal, times_of
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.times import SharedLaunch, TimeModel, Times
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold, pick
from tierlab.kernels.ops.table import DTYPES, OPS, OpTable, Work

Floats = NDArray[np.float64]
KEYS: Mapping[str, Mapping[str, Schedule]] = {
    "prefill_attention": PREFILL, "decode_attention": DECODE
}  # fmt: skip
"""Operation -> the schedules of a served run: an array beside the GPU is none of them."""
_PHASES = {"prefill_attention": "prefill", "decode_attention": "decode"}
_SMALL, _NONE = OPS.index("elementwise"), DTYPES.index("none")
"""What a KV write is: elementwise, of stored elements."""
_SIZES = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim")


class Scheduled:
    """The time model of one device, with chosen schedules.

    Parameters
    ----------
    beneath
        Answers for everything else.
    machine
        The device.
    names
        Operation -> schedule, of one or both kinds of attention.
    keys
        Operation -> the scenario's key that named it, for errors.
    """

    def __init__(
        self,
        beneath: TimeModel,
        machine: Machine,
        names: Mapping[str, str],
        keys: Mapping[str, str],
    ) -> None:
        self._beneath, self._machine, self._keys = beneath, machine, keys
        self._names = {OPS.index(op): name for op, name in names.items()}
        self._scheduled = np.isin(np.arange(len(OPS)), list(self._names))

    @property
    def name(self) -> str:
        """The model beneath, and what attention is by."""
        told = (f"{_PHASES[OPS[op]]} attention by schedule {n}" for op, n in self._names.items())
        return f"{self._beneath.name}; {', '.join(told)}"

    def predict(self, ops: OpTable) -> Times:
        """Return the durations of `ops`, vectorised.

        Raises
        ------
        BadInput
            A schedule cannot say a row of attention.
        """
        return self._divided(ops, self._beneath.predict)

    def middles(self, ops: OpTable) -> Times:
        """Return the durations, with bands that may be NaN."""
        return self._divided(ops, lambda rest: base.middles(self._beneath, rest))

    def check(self, ops: OpTable) -> None:
        """Refuse rows that a schedule cannot say; `predict` does, too.

        Raises
        ------
        BadInput
            With the key that named the schedule.
        """
        for op, name in self._names.items():
            self._check(op, name, ops.take(np.flatnonzero(self._mine(ops) & (ops.op == op))))

    def _check(self, op: int, name: str, ops: OpTable) -> None:
        if refused := refusal(name, ops, self._machine):
            raise BadInput(self._keys[OPS[op]], refused.what, f"{refused.accepted}, or no schedule")

    def launched(self, work: Work) -> Work:
        """Return it without what the schedules' times include, and those of the model beneath."""
        mine = self._mine(work.ops)
        if not mine.any():
            return base.launched(self._beneath, work)
        names = [name for op, name in self._names.items() if (work.ops.op[mine] == op).any()]
        goes = mine
        if all(SCHEDULES[name].writes for name in names):
            goes = mine | (work.ops.op == _SMALL) & (work.ops.kv_dtype != _NONE)
        rest = base.launched(self._beneath, _part(work, ~goes))
        return Work.concat([_part(work, mine), rest])

    def shared(
        self, prefill: Work, decode: Work, keys: Floats, band: str
    ) -> tuple[SharedLaunch, int] | None:
        """Return what the model beneath does where neither is scheduled; else: launched apart."""
        if self._mine(prefill.ops).any() or self._mine(decode.ops).any():
            return None
        if not isinstance(self._beneath, base.KnowsKernels):
            return None
        return self._beneath.shared(prefill, decode, keys, band)

    def _mine(self, ops: OpTable) -> NDArray[np.bool_]:
        """Say which rows are a schedule's: attention with work."""
        mine: NDArray[np.bool_] = self._scheduled[ops.op]
        if mine.any():
            for name in _SIZES:
                mine &= ops[name] > 0
        return mine

    def _divided(self, ops: OpTable, ask: Callable[[OpTable], Times]) -> Times:
        mine = self._mine(ops)
        if not mine.any():
            return ask(ops)
        parts = []
        if not mine.all():
            rest = np.flatnonzero(~mine)
            parts.append((rest, ask(ops.take(rest))))
        for op, name in self._names.items():
            rows = np.flatnonzero(mine & (ops.op == op))
            if len(rows):
                asked = ops.take(rows)
                self._check(op, name, asked)
                parts.append((rows, times_of(name, asked, self._machine)))
        return _joined(len(ops), parts)


def _part(work: Work, rows: NDArray[np.bool_]) -> Work:
    return Work(work.ops.take(rows), work.step[rows], work.repeat[rows])


def _joined(n: int, parts: Sequence[tuple[NDArray[np.int64], Times]]) -> Times:
    columns = []
    for field in fields(Times):
        column = np.empty(n, getattr(parts[0][1], field.name).dtype)
        for rows, times in parts:
            column[rows] = getattr(times, field.name)
        columns.append(column)
    return Times(*columns)


def scheduled(
    beneath: TimeModel, gpu: Gpu, prefill: str | None, decode: str | None, where: str
) -> TimeModel:
    """Return a time model with the schedules that a scenario names; as it was where it names none.

    Parameters
    ----------
    beneath, gpu
        The model of everything else, and its device.
    prefill, decode
        Names of schedules in any case; None or ``none``: the kernel that the model knows.
    where
        The section whose keys ``prefill_schedule`` and ``decode_schedule`` they are.

    Raises
    ------
    BadInput
        There is no such schedule, or not for this.
    """
    chosen = []
    for op, given in (("prefill_attention", prefill), ("decode_attention", decode)):
        if given is not None and fold(given) != "none":
            known = {name: name for name in KEYS[op]}
            key = f"{where}.{_PHASES[op]}_schedule"
            chosen.append((op, pick(given, known, key, f"schedule of {op}"), key))
    of: Any = beneath, gpu, tuple(chosen)
    return _made(*of) if chosen else beneath


@lru_cache(maxsize=16)
def _made(beneath: TimeModel, gpu: Gpu, chosen: tuple[tuple[str, str, str], ...]) -> Scheduled:
    """Return the model that the points of a sweep ask for again."""
    names, keys = {op: name for op, name, _ in chosen}, {op: key for op, _, key in chosen}
    return Scheduled(beneath, machine_of(gpu), names, keys)
