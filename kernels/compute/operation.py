"""What the registry says of an operation: its implementations, inputs of a shape, and its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = Mapping[str, int]
Example = Callable[[Shape, np.random.Generator], tuple[Any, ...]]
Count = Callable[[Shape, int], int]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    name
        As in `registry.OPERATIONS`.
    implementations
        ``"numpy"`` (the reference: float64, for checks, not for speed), ``"numba"`` and
        ``"cupy"``; all take the same arguments, the last as CuPy arrays.
    shape
        The parameters that `example` needs, with small odd values.
    make
        (shape, random generator) -> arguments as NumPy arrays, floats in float32.
    moved_bytes
        (shape, bytes of a float) -> bytes that must be read and written at least once.
    arithmetic
        (shape, bytes of a float) -> floating-point operations, a multiply-add counted as two.
    """

    name: str
    implementations: Mapping[str, Callable[..., Any]]
    shape: Shape
    make: Example
    moved_bytes: Count
    arithmetic: Count

    def example(self, shape: Shape, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return arguments of a shape; parameters left out have the values of `self.shape`."""
        return self.make({**self.shape, **shape}, rng)

    def bytes(self, shape: Shape, float_bytes: int = 4) -> int:
        """Return the bytes that the operation must move."""
        return self.moved_bytes({**self.shape, **shape}, float_bytes)

    def flops(self, shape: Shape) -> int:
        """Return the floating-point operations."""
        return self.arithmetic({**self.shape, **shape}, 4)
