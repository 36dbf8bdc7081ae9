"""Operations that users name, as rows of the operations that are timed.

A norm, a rotation or a copy is an ``elementwise`` row with its traffic; scores against keys or
their representatives are a ``grouped_gemm`` with one group a KV head and sequence; choosing the
largest scores is a ``sample`` with as many passes as a radix selection makes. Traffic counts each
operand once, as in kernels/models/step.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES, OPS, OpTable

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats]
WIDE = 2.0
"""Bytes of an activation."""
INDEX = 8.0
"""Bytes of an index."""
SELECT_PASSES = 8.0
"""Beyond the first reading: four digits of 8 bits, each counted and filtered (radix selection)."""


@dataclass(frozen=True)
class Alias:
    """One name.

    Attributes
    ----------
    op
        The operation that is timed.
    needs
        Columns that must be positive.
    columns
        Rows of the name -> the columns of `op` that it sets.
    """

    op: str
    needs: tuple[str, ...]
    columns: Callable[[OpTable], Columns]


def _moves(row_bytes: Callable[[OpTable], Floats]) -> Callable[[OpTable], Columns]:
    return lambda ops: {"bytes": ops["m"] * row_bytes(ops)}


def _stored(ops: OpTable) -> Floats:
    """Return the bytes of the narrow side; without `kv_dtype` it is 8 bits."""
    widths: Floats = np.where(ops.kv_dtype == 0, 1.0, DTYPE_BYTES[ops.kv_dtype])
    return widths


def _rotary(ops: OpTable) -> Columns:
    width = (ops["heads"] + ops["kv_heads"]) * ops["head_dim"]
    return {"n": width, "bytes": ops["m"] * (2.0 * WIDE * width + WIDE * ops["head_dim"])}


def _score(ops: OpTable) -> Columns:
    groups = ops["batch"] * ops["kv_heads"]
    return {
        "m": ops["q_len"] * ops["heads"] / ops["kv_heads"],
        "n": ops["kv_len"],
        "k": ops["head_dim"],
        "experts": groups,
        "top_k": groups,
    }


def _select(ops: OpTable) -> Columns:
    rows = ops["batch"] * ops["q_len"] * ops["heads"]
    return {"m": rows, "n": ops["kv_len"], "k": np.full(len(ops), SELECT_PASSES)}


_ROWS = ("m", "n")
ALIASES: dict[str, Alias] = {
    "norm": Alias("elementwise", _ROWS, _moves(lambda o: 4.0 * WIDE * o["n"])),
    "rotary": Alias("elementwise", ("m", "heads", "kv_heads", "head_dim"), _rotary),
    "activation": Alias("elementwise", _ROWS, _moves(lambda o: 3.0 * WIDE * o["n"])),
    "quantise": Alias("elementwise", _ROWS, _moves(lambda o: (WIDE + _stored(o)) * o["n"])),
    "dequantise": Alias("elementwise", _ROWS, _moves(lambda o: (WIDE + _stored(o)) * o["n"])),
    "hadamard": Alias("elementwise", _ROWS, _moves(lambda o: 2.0 * WIDE * o["n"])),
    "gather": Alias("elementwise", _ROWS, _moves(lambda o: 2.0 * WIDE * o["n"] + INDEX)),
    "score": Alias(
        "grouped_gemm", ("kv_len", "heads", "kv_heads", "head_dim"), _score
    ),
    "top_k": Alias("sample", ("kv_len", "heads"), _select),
}  # fmt: skip
"""Name -> what it is. A norm adds a residual; an activation multiplies gate and up."""
NAMES = (*OPS, *ALIASES)
"""Every operation that a table of shapes may name."""


def translate(ops: OpTable) -> OpTable:
    """Return the rows with names of `NAMES` (codes beyond `OPS`) as rows of `OPS`.

    Of rows of `sample` only those that stand for a selection tell keys (`registry.is_variant`).
    """
    made = OpTable(ops.op.copy(), ops.dtype, ops.kv_dtype, ops.values.copy())
    made["kv_len"][ops.op == OPS.index("sample")] = 0.0
    for code in np.unique(ops.op[ops.op >= len(OPS)]):
        rows = np.flatnonzero(ops.op == code)
        alias, part = ALIASES[NAMES[code]], ops.take(rows)
        made.op[rows] = OPS.index(alias.op)
        for column, values in alias.columns(part).items():
            made[column][rows] = values
    selects = made.op == OPS.index("sample")
    dtype = np.where(selects, DTYPES.index("fp32"), made.dtype).astype(np.int8)
    return OpTable(made.op, dtype, made.kv_dtype, made.values)
