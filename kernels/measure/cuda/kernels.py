"""Kernels over shapes on a GPU: CuPy's and cuBLAS, timed by the GPU's clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from itertools import cycle
from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.kernels.measure.arguments import arrays, rotated
from tierlab.kernels.measure.check import check_result
from tierlab.kernels.measure.cuda.facts import guarded, memory_bytes
from tierlab.kernels.measure.cuda.inputs import make
from tierlab.kernels.measure.cuda.timing import device_samples
from tierlab.kernels.measure.point import Measure, Point
from tierlab.kernels.measure.shapes import GPU, GPU_QUICK, points, shape_of

ROTATED_BYTES = 2**28
"""Several times the second-level cache of any GPU (H200: 50 MB)."""
CHECKED_BYTES = 2**26
"""Larger operands are not brought to the host: the result is then only seen to be finite."""


class GpuKernels:
    """The part that runs kernels on GPU `number`."""

    name = "kernels"

    def __init__(self, quick: bool, number: int) -> None:
        self._ranges = GPU_QUICK if quick else GPU
        self._number = number
        self._most_bytes = memory_bytes(number) // 4

    def points(self) -> Sequence[Point]:
        """Return every kernel at every shape whose operands fit."""
        found = points(self._ranges, "cupy")
        return [p for p in found if _bytes(p) <= self._most_bytes]

    @contextmanager
    def open(self) -> Iterator[Measure]:
        """Nothing to set up: inputs are made for each point."""
        yield self._measure

    def _measure(self, point: Point, until: float) -> list[float]:
        from tierlab.kernels.compute.registry import OPERATIONS

        operation = OPERATIONS[str(point.columns["operation"])]
        with guarded(self._number):
            arguments = make(operation.name, shape_of(point))
            function = operation.implementations["cupy"]
            result = function(*arguments)
            if sum(a.nbytes for a in arrays(arguments)) <= CHECKED_BYTES:
                here = tuple(to_host(a) for a in arguments)
                check_result(operation, here, to_host(result), str(point.columns["dtype"]))
            else:
                _check_there(operation.name, arguments, result)
            turn = cycle(rotated(arguments, ROTATED_BYTES))
            return device_samples(lambda: function(*next(turn)), until, self._number)


def _bytes(point: Point) -> float:
    return float(point.columns.get("moved_bytes", point.columns.get("bytes", 0)))


def to_host(value: Any) -> Any:
    """Return arrays, and those in tuples and dataclasses, as NumPy's; float16 as float32."""
    if isinstance(value, tuple):
        return tuple(to_host(v) for v in value)
    if hasattr(value, "get"):
        here = value.get()
        return here.astype(np.float32) if here.dtype == np.float16 else here
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: to_host(getattr(value, f.name)) for f in fields(value)})
    return value


def _check_there(name: str, arguments: tuple[Any, ...], result: Any) -> None:
    """Check a large result on the GPU: scattered blocks arrived, anything else is finite."""
    import cupy

    if name == "scatter":
        cache, ids, data = arguments
        if not bool((cache[ids] == data).all()):
            raise BrokenLaw("scatter did not write its blocks")
        return
    parts = list(arrays(result if isinstance(result, tuple) else (result,)))[:1]
    if not all(bool(cupy.isfinite(a).all()) and bool((a != 0).any()) for a in parts):
        raise BrokenLaw(f"{name} wrote nothing, or no finite numbers")
