"""Compiles the CUDA sources for the GPU at hand, once per process and set of constants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput

FOLDER = Path(__file__).parent
STANDARD = "-std=c++17"
ELEMENTS = {"float32": 0, "float16": 1, "uint16": 2}
"""Constant ELEMENT of each type; CuPy has no bfloat16, whose bits travel as uint16."""


def source(name: str, folders: Sequence[Path] = (FOLDER,)) -> str:
    """Return the text of ``NAME.cu`` with its includes in place, each once.

    Parameters
    ----------
    folders
        Where to look, first found first taken.
    """
    seen: set[str] = set()

    def text(file: str) -> str:
        if file in seen:
            return ""
        seen.add(file)
        path = next(folder / file for folder in folders if (folder / file).exists())
        return re.sub(
            r'^#include "(.*)"$',
            lambda found: text(found[1]),
            path.read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )

    return text(f"{name}.cu")


def flags(constants: dict[str, int]) -> tuple[str, ...]:
    """Return compiler options that define `constants` for a source."""
    return (STANDARD, *(f"-D{name}={value}" for name, value in sorted(constants.items())))


@cache
def _kernel(name: str, function: str, options: tuple[str, ...]) -> Any:
    import cupy

    return cupy.RawModule(code=source(name), options=options).get_function(function)


def launch(
    where: str,
    grid: tuple[int, ...],
    threads: int,
    arguments: tuple[Any, ...],
    shared_bytes: int = 0,
    **constants: int,
) -> None:
    """Run kernel ``SOURCE.FUNCTION``; without a thread block, nothing.

    Parameters
    ----------
    where
        ``"SOURCE.FUNCTION"``.
    grid, threads
        Thread blocks and threads of each.
    arguments
        Arrays and integers, which become 32-bit, or CuPy scalars of another size.
    shared_bytes
        Dynamic shared memory of a block.
    constants
        Macros of the source.
    """
    import cupy

    if 0 in grid:
        return
    kernel = _kernel(*where.split("."), flags(constants))
    if shared_bytes > 48 * 1024:
        kernel.max_dynamic_shared_size_bytes = shared_bytes
    sized = tuple(cupy.int32(a) if isinstance(a, int) else a for a in arguments)
    kernel(grid, (threads,), sized, shared_mem=shared_bytes)


def element(where: str, x: Any, accepted: tuple[str, ...] = tuple(ELEMENTS)) -> int:
    """Return constant ELEMENT of an array's type.

    Raises
    ------
    BadInput
        The type is not among `accepted`.
    """
    name = str(x.dtype)
    if name not in accepted:
        raise BadInput(where, f"elements of {name}", " or ".join(accepted))
    return ELEMENTS[name]


def cover(count: int, size: int) -> int:
    """Return the thread blocks of `size` that cover `count` elements."""
    return -(-count // size)
