"""Copies of a kernel's arguments, so that repeated calls find none of them in a cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

MOST_COPIES = 32


def arrays(arguments: tuple[Any, ...]) -> Iterator[Any]:
    """Return all arrays among arguments and in their dataclasses."""
    for value in arguments:
        if hasattr(value, "dtype"):
            yield value
        elif is_dataclass(value):
            yield from arrays(tuple(getattr(value, f.name) for f in fields(value)))


def clone(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the same arguments in memory of their own."""
    return tuple(_clone(value) for value in arguments)


def _clone(value: Any) -> Any:
    if hasattr(value, "dtype"):
        return value.copy()
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _clone(getattr(value, f.name)) for f in fields(value)})
    return value


def rotated(arguments: tuple[Any, ...], enough_bytes: int) -> list[tuple[Any, ...]]:
    """Return the arguments and as many copies as fill `enough_bytes`, two sets at least."""
    size = max(sum(a.nbytes for a in arrays(arguments)), 1)
    count = min(MOST_COPIES, max(1, -(-enough_bytes // size)))
    return [arguments, *(clone(arguments) for _ in range(count - 1))]
