"""The smallest size that meets a condition, by halving its logarithm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bracket:
    """Between which sizes a condition begins to hold.

    Attributes
    ----------
    fails, meets
        The largest size tried below `meets` that fails (0 where none was tried), and the least
        size tried that meets it.
    tried
        (size, whether it meets) of every trial, in order.
    """

    fails: float
    meets: float
    tried: tuple[tuple[float, bool], ...]

    @property
    def monotone(self) -> bool:
        """Whether no size that was tried fails above one that meets."""
        verdicts = [met for _, met in sorted(self.tried)]
        return verdicts == sorted(verdicts)


def smallest(
    meets: Callable[[float], bool], least: float, most: float, tolerance: float
) -> Bracket:
    """Return the bracket of the smallest size that meets a condition.

    Right where what meets it is met by all that is larger. Where it is not, the bracket still
    holds one change from failing to meeting.

    Parameters
    ----------
    least, most
        Sizes to look between, 0 < least <= most; `most` must meet the condition, and is taken
        to.
    tolerance
        The bracket's ends differ by at most this share of the lower, unless `least` meets.
    """
    tried: list[tuple[float, bool]] = []

    def holds(size: float) -> bool:
        tried.append((size, meets(size)))
        return tried[-1][1]

    if holds(least):
        return Bracket(0.0, least, tuple(tried))
    low, high = least, most
    while high > low * (1 + tolerance):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return Bracket(low, high, tuple(tried))
