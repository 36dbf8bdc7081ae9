"""Kernels over shapes on the CPU: Numba's, and NumPy's BLAS for matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np

from tierlab.kernels.measure.arguments import rotated
from tierlab.kernels.measure.check import check_result
from tierlab.kernels.measure.point import Measure, Point
from tierlab.kernels.measure.sampling import sample
from tierlab.kernels.measure.shapes import CPU, CPU_QUICK, points, shape_of

CACHES = 2
"""Copies of a kernel's inputs fill so many last-level caches."""


class CpuKernels:
    """The part that runs kernels on the CPU.

    Parameters
    ----------
    quick
        Fewer shapes.
    cache_bytes
        Last-level cache, as the system tells it.
    """

    name = "kernels"

    def __init__(self, quick: bool, cache_bytes: int) -> None:
        self._ranges = CPU_QUICK if quick else CPU
        self._enough_bytes = CACHES * cache_bytes

    def points(self) -> Sequence[Point]:
        """Return every kernel at every shape."""
        return points(self._ranges, "numba")

    @contextmanager
    def open(self) -> Iterator[Measure]:
        """Nothing to set up: inputs are made for each point."""
        yield self._measure

    def _measure(self, point: Point, until: float) -> list[float]:
        from tierlab.kernels.compute.registry import OPERATIONS

        operation = OPERATIONS[str(point.columns["operation"])]
        arguments = operation.example(shape_of(point), np.random.default_rng(0))
        function = implementation(operation.name)
        check_result(operation, arguments, function(*arguments), str(point.columns["dtype"]))
        turn = cycle(rotated(arguments, self._enough_bytes))
        function(*next(turn))
        return sample(lambda: function(*next(turn)), until)


@cache
def implementation(name: str) -> Callable[..., Any]:
    """Return what runs an operation fast on a CPU."""
    from tierlab.kernels.compute.registry import OPERATIONS

    return np.matmul if name == "gemm" else OPERATIONS[name].implementations["numba"]
