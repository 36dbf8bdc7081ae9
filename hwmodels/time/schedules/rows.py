"""Rows of attention through a schedule: what it can say, times and bands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.schedules.bands import band
from tierlab.hwmodels.time.schedules.problem import Cost, Problem
from tierlab.hwmodels.time.schedules.registry import SCHEDULES, SPATIAL, op_of
from tierlab.hwmodels.time.silicon.kernel import generation
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.times import DATASHEET, SCHEDULED_GROUPS, Times
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OPS, OpTable

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
_CHUNK = 16384
"""Rows at a time: intermediate columns stay in the processor's cache."""
_WIDE = ("bf16", "fp16")
_NARROW = ("fp8",)
_QUERY_BYTES = 2.0
"""Queries, outputs and arithmetic are 16 bits wide whatever the cache holds, as in `roofline`."""


class Refusal(NamedTuple):
    """The first row of which a schedule says nothing, why, and what it would take."""

    row: int
    what: str
    accepted: str


def refusal(name: str, ops: OpTable, machine: Machine) -> Refusal | None:
    """Return why a schedule cannot answer rows of attention; None where it can answer all."""
    for rows, what, accepted in _doubts(name, ops, machine):
        if np.any(rows):
            row = int(np.flatnonzero(np.broadcast_to(rows, len(ops)))[0])
            return Refusal(row, f"schedule {name!r} {what}", accepted)
    return None


def _doubts(name: str, ops: OpTable, machine: Machine) -> Iterator[tuple[Rows | bool, str, str]]:
    one, op, made = SCHEDULES[name], op_of(name), SCHEDULES[name].made
    yield ops.op != OPS.index(op), f"answers {op}", f"{op}, or {_others(op)}"
    none = (ops["batch"] <= 0) | (ops["q_len"] <= 0)
    yield none, "has nothing to compute", "batch and q_len over 0"
    elsewhere = bool(made) and made != generation(machine)
    yield elsewhere, f"does not exist on {machine.name}", f"{made.title()} GPUs"
    values = ops["v_head_dim"]
    latent = (ops["latent_rank"] > 0) | ((values > 0) & (values != ops["head_dim"]))
    yield latent, "knows no MLA", "keys and values of one width"
    uneven = ops["heads"] % ops["kv_heads"] > 0
    yield uneven, "takes as many heads to each KV head", "heads a multiple of kv_heads"
    sizes = _WIDE + _NARROW * one.narrow
    yield ~_among(_stored(ops), sizes), "knows no such cache", f"kv_dtype {', '.join(sizes)}"
    yield ~_among(ops.dtype, _WIDE + _NARROW), "computes in 16 bits", f"dtype {', '.join(_WIDE)}"
    window = (ops["window"] > 0) & (ops["window"] < _longest(ops))
    yield window & (not one.windows), "knows no window", "none, or one that holds all keys"
    yield ops["kv_len"] > one.most_keys, "would spill its scores", f"kv_len to {one.most_keys:g}"
    if op == "decode_attention":
        yield ops["q_len"] != 1, "takes one query a sequence", "q_len 1"
    else:
        yield ops["kv_len_spread"] > 0, "takes prompts of one length", "kv_len_spread 0"


def _others(op: str) -> str:
    return ", ".join(name for name in SCHEDULES if op_of(name) != op) + " for the other"


def _longest(ops: OpTable) -> Floats:
    keys: Floats = ops["kv_len"] * (1.0 + ops["kv_len_spread"])
    return keys


def _stored(ops: OpTable) -> NDArray[np.int8]:
    return np.where(ops.kv_dtype == DTYPES.index("none"), ops.dtype, ops.kv_dtype)


def _among(codes: NDArray[np.int8], names: tuple[str, ...]) -> Rows:
    return np.isin(codes, [DTYPES.index(name) for name in names])


def problem_of(ops: OpTable) -> Problem:
    """Return rows of attention as a schedule sees them: causal, and masked by a matrix."""
    return Problem(
        ops["batch"],
        ops["heads"],
        ops["kv_heads"],
        ops["head_dim"],
        ops["q_len"],
        ops["kv_len"],
        causal=True,
        mask="added",
        element_bytes=_QUERY_BYTES,
        kv_bytes=DTYPE_BYTES[_stored(ops)],
        window=ops["window"],
        spread=ops["kv_len_spread"],
    )


def times_of(name: str, ops: OpTable, machine: Machine) -> Times:
    """Return the times of rows that a schedule can answer (`refusal`)."""
    n, group = len(ops), SCHEDULED_GROUPS + list(SCHEDULES).index(name)
    (seconds, p10, p90), beyond = np.empty((3, n)), np.empty(n, np.bool_)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        problem = problem_of(ops.take(part))
        cost = SCHEDULES[name].cost(problem, machine)
        low, high, beyond[part] = band(name, problem, machine)
        least_s = 0.0 if name in SPATIAL else _least_s(cost, machine)
        seconds[part], p90[part] = cost.seconds, cost.seconds * high
        p10[part] = np.clip(cost.seconds * low, least_s, cost.seconds)
    source, groups = np.full(n, DATASHEET, np.uint8), np.full(n, group, np.int32)
    return Times(seconds, p10, p90, source, beyond, groups)


def _least_s(cost: Cost, machine: Machine) -> Floats:
    """Return what no kernel of the machine beats: its peak, and its bandwidth beyond L2."""
    moved = np.maximum(cost.hbm_bytes - machine.l2_bytes, 0.0)
    least: Floats = np.maximum(moved / machine.bytes_per_s, cost.flops / machine.peak("fp16"))
    return least
