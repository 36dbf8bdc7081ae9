"""A table of operations: one row an operation, one column a shape parameter.

Every layer speaks of work in this form: models write it, time models read it, so that a
million shapes cost a few array passes. A parameter that an operation does not have is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

OPS = (
    "gemm",
    "grouped_gemm",
    "prefill_attention",
    "decode_attention",
    "mamba_prefill",
    "mamba_decode",
    "elementwise",
    "sample",
    "all_reduce",
    "all_gather",
    "reduce_scatter",
    "all_to_all",
    "prefill_attention_backward",
)
DTYPES = ("none", "fp32", "bf16", "fp16", "fp8", "int8", "fp4", "int4")
DTYPE_BYTES = np.array([0.0, 4.0, 2.0, 2.0, 1.0, 1.0, 0.5, 0.5])
COLUMNS = (
    "batch",  # sequences
    "q_len",  # queries per sequence
    "kv_len",  # keys that the last query sees, itself included: the mean over the batch
    "kv_len_spread",  # (longest - mean) / mean of kv_len over the batch
    "heads",  # query heads on this device
    "kv_heads",  # KV heads on this device; for mamba_*: groups
    "head_dim",
    "v_head_dim",  # 0: equal to head_dim
    "window",  # 0: none
    "latent_rank",  # MLA in its absorbed form; head_dim then counts latent + rotary
    "experts",  # experts on this device; of an elementwise operation, of the layer it is a part of
    "top_k",  # experts that a token visits, of those on this device, in the mean
    "routing",  # of experts: 0 even, 1 uniform, over 1 a power law's exponent (`ops.routing`)
    "state_size",
    "m",  # rows: tokens, or sequences for `sample`
    "n",
    "k",
    "devices",  # members of a collective
    "bytes",  # payload of a collective per device; traffic of an elementwise operation
)
_ROW = {name: i for i, name in enumerate(COLUMNS)}


@dataclass(frozen=True, eq=False)
class OpTable:
    """Operations as columns.

    Attributes
    ----------
    op, dtype, kv_dtype
        int8[n], indices into `OPS` and `DTYPES`. `dtype` is what the arithmetic units see;
        for a GEMM, `kv_dtype` is the stored weights'; for attention, the stored KV cache's.
    values
        float64[len(COLUMNS), n].
    known
        What time models have worked out of these columns and will ask for again.
    """

    op: NDArray[np.int8]
    dtype: NDArray[np.int8]
    kv_dtype: NDArray[np.int8]
    values: NDArray[np.float64]
    known: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.op)

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        """Return one numeric column, float64[n]."""
        values: NDArray[np.float64] = self.values[_ROW[column]]
        return values

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> OpTable:
        """Return the table of some rows, by index or mask; of a slice, without a copy."""
        return OpTable(self.op[rows], self.dtype[rows], self.kv_dtype[rows], self.values[:, rows])

    @staticmethod
    def build(op: str, dtype: str, kv_dtype: str = "none", **columns: ArrayLike) -> OpTable:
        """Make rows of one operation; columns broadcast against each other.

        Raises
        ------
        KeyError, ValueError
            A column, operation or dtype that does not exist.
        """
        names = [_ROW[name] for name in columns]
        arrays = np.broadcast_arrays(*(np.atleast_1d(v) for v in columns.values()))
        n = arrays[0].size
        values = np.zeros((len(COLUMNS), n))
        for row, array in zip(names, arrays, strict=True):
            values[row] = array.ravel()
        return OpTable(
            np.full(n, OPS.index(op), np.int8),
            np.full(n, DTYPES.index(dtype), np.int8),
            np.full(n, DTYPES.index(kv_dtype), np.int8),
            values,
        )

    @staticmethod
    def concat(tables: Iterable[OpTable]) -> OpTable:
        """Stack tables; none gives an empty table."""
        parts = list(tables)
        if not parts:
            none = np.zeros(0, np.int8)
            return OpTable(none, none, none, np.zeros((len(COLUMNS), 0)))
        return OpTable(
            np.concatenate([t.op for t in parts]),
            np.concatenate([t.dtype for t in parts]),
            np.concatenate([t.kv_dtype for t in parts]),
            np.concatenate([t.values for t in parts], axis=1),
        )


@dataclass(frozen=True, eq=False)
class Work:
    """Operations of many steps at once.

    Attributes
    ----------
    ops
        OpTable of n rows.
    step
        int64[n], the step that a row belongs to.
    repeat
        float64[n], how often the row runs in that step (layers of one shape).
    """

    ops: OpTable
    step: NDArray[np.int64]
    repeat: NDArray[np.float64]

    def per_step(self, values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
        """Sum `values` float64[n] times repeats over each step, float64[steps]."""
        weights = values * self.repeat
        return np.bincount(self.step, weights, minlength=steps).astype(np.float64, copy=False)

    @staticmethod
    def concat(parts: Sequence[Work]) -> Work:
        """Stack the work of several parts of the same steps."""
        return Work(
            OpTable.concat(w.ops for w in parts),
            np.concatenate([w.step for w in parts]) if parts else np.zeros(0, np.int64),
            np.concatenate([w.repeat for w in parts]) if parts else np.zeros(0),
        )
