"""Where a number lies among the nodes of an axis: plain functions, compiled where they are used."""

from __future__ import annotations

from typing import Any


def below(axis: Any, x: float) -> int:
    """Return the node at or below x, but for the last."""
    low, high = 0, len(axis) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if axis[middle] <= x:
            low = middle
        else:
            high = middle
    return low


def nearest(axis: Any, x: float) -> int:
    """Return the node nearest to x."""
    best = 0
    for i in range(1, len(axis)):
        if abs(axis[i] - x) < abs(axis[best] - x):
            best = i
    return best
