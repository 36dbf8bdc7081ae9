"""Whether a kernel wrote what it should: its first result against the reference's.

The reference is slow, so of large shapes only some rows of the result are computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.kernels.compute.operation import Operation

ROWS = 2
TOLERANCE = {"fp32": 2e-3, "fp16": 3e-2}
"""Of the largest value: what float32 and float16 lose over the longest sums measured here."""

Arguments = tuple[Any, ...]
Cut = Callable[[Arguments], tuple[Arguments, Any]]
"""Arguments -> those of a part, and which part of the result it is."""


def _rows(count: int) -> Cut:
    """Return the cut that keeps the first rows of the first `count` arguments."""

    def cut(arguments: Arguments) -> tuple[Arguments, Any]:
        return (*(a[:ROWS] for a in arguments[:count]), *arguments[count:]), slice(0, ROWS)

    return cut


def _decode(arguments: Arguments) -> tuple[Arguments, Any]:
    q, keys, values, table, lengths = arguments
    return (q[:1], keys, values, table[:1], lengths[:1]), slice(0, 1)


def _prefill(arguments: Arguments) -> tuple[Arguments, Any]:
    q, keys, values, table, _, lengths = arguments
    last = np.array([0, 1], np.int32)
    return (q[-1:], keys, values, table[-1:], last, lengths[-1:]), slice(len(q) - 1, len(q))


def _chosen(place: int) -> Cut:
    """Return the cut that keeps the first of the ids that stand at `place`."""

    def cut(arguments: Arguments) -> tuple[Arguments, Any]:
        return (*arguments[:place], arguments[place][:ROWS]), slice(0, ROWS)

    return cut


CUTS: Mapping[str, Cut] = {
    "gemm": _rows(1),
    "rotary": _rows(2),
    "rmsnorm": _rows(1),
    "swiglu": _rows(2),
    "hadamard": _rows(1),
    "dequantise": lambda arguments: (arguments, slice(None)),
    "prefill": _prefill,
    "decode": _decode,
    "decode_int4": _decode,
    "decode_int2": _decode,
    "gather": _chosen(1),
    "lowrank": _chosen(3),
}


def check_result(operation: Operation, arguments: Arguments, result: Any, dtype: str) -> None:
    """Compare a result with the reference's, all of NumPy's arrays.

    Raises
    ------
    BrokenLaw
        They differ, or the result is not finite.
    """
    if operation.name == "scatter":
        cache, ids, data = arguments
        _same(operation.name, [cache[ids]], [data], dtype)
        return
    first = _first(result)
    if operation.name in CUTS:
        fewer, part = CUTS[operation.name](arguments)
        wanted = _first(operation.implementations["numpy"](*fewer))
        _same(operation.name, [first[part]], [wanted], dtype)
    elif not np.isfinite(first.astype(np.float64)).all() or not first.any():
        raise BrokenLaw(f"{operation.name} wrote nothing, or no finite numbers")


def _first(result: Any) -> Any:
    """Return the main array of a result: outputs before sums, codes before scales."""
    while isinstance(result, tuple):
        result = result[0]
    return getattr(result, "codes", result)


def _same(name: str, found: list[Any], wanted: list[Any], dtype: str) -> None:
    for a, b in zip(found, wanted, strict=True):
        right = np.asarray(b, np.float64)
        scale = max(float(np.abs(right).max()), 1e-30)
        error = float(np.abs(np.asarray(a, np.float64) - right).max()) / scale
        if not error <= TOLERANCE[dtype]:
            raise BrokenLaw(f"{name} is off by {error:.2g} of its largest value")
