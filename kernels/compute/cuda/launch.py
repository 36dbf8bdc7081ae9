"""Compiles the CUDA sources for the GPU at hand, once per process and set of constants."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
STANDARD = "-std=c++17"
LARGEST_GRID = 65535


def source(name: str) -> str:
    """Return the text of ``NAME.cu``."""
    return (FOLDER / f"{name}.cu").read_text(encoding="utf-8")


def flags(constants: dict[str, int | str]) -> tuple[str, ...]:
    """Return compiler options that define `constants` for a source."""
    return (STANDARD, *(f"-D{name}={value}" for name, value in sorted(constants.items())))


@cache
def _module(name: str, options: tuple[str, ...]) -> Any:
    import cupy

    return cupy.RawModule(code=source(name), options=options)


def module(name: str, **constants: int | str) -> Any:
    """Return a compiled source; its kernels by ``get_function``."""
    return _module(name, flags(constants))


def cover(count: int, size: int) -> int:
    """Return the thread blocks of `size` that cover `count` elements, at least one."""
    return max(1, -(-count // size))


def rows_of(x: Any) -> int:
    """Return the rows of an array whose last axis is one row."""
    return max(1, int(x.size // x.shape[-1]))
