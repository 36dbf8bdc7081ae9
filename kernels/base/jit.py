"""Numba, imported in less time.

Numba looks for SciPy's BLAS as it starts, which imports SciPy's linear algebra and half of NumPy
with it: a sixth of a small run. Nothing here calls it from compiled code. What does, as
`numpy.dot`, looks for it again when it is compiled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def numba() -> Any:
    """Return the module."""
    with _absent("scipy.linalg"):
        import numba
        import numba.np.arraymath

    return numba


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Let a module be one that cannot be imported, unless it is there already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
