"""Compiled code finds in a held tuple what Python finds in the tuple, and writes to the same."""

from typing import Any, NamedTuple

import numpy as np

from tierlab.kernels.base.binding import Binder
from tierlab.kernels.base.held import Held


class Inner(NamedTuple):
    counts: Any
    grid: Any


class Outer(NamedTuple):
    inner: Inner
    flags: Any
    share: float


def make(n):
    grid = np.arange(3.0 * n).reshape(n, 3)
    return Outer(Inner(np.arange(n), grid), np.zeros(n, np.int8), 0.5)


def total(one: Any, factor: float) -> float:
    """Sum everything, and leave a mark."""
    out = 0.0
    for i in range(len(one.inner.counts)):
        out += one.inner.counts[i] + one.inner.grid[i, 2] * one.share
        one.flags[i] += 1
    return out * factor


def both(one: Any, other: Any) -> float:
    """Tell two held tuples apart."""
    return total(one, 1.0) - total(other, 1.0)


def test_a_held_tuple_is_read_and_written_in_place():
    held = Held(make(4))
    function = Binder().entry(total, (held.type,))
    expected = held.value.inner.counts.sum() + 0.5 * held.value.inner.grid[:, 2].sum()
    assert function(held.at, 2.0) == 2.0 * expected
    held.value.inner.counts[3] += 10
    assert function(held.at, 1.0) == expected + 10
    assert held.value.flags.tolist() == [2] * 4


def test_two_tuples_of_one_type_stay_apart():
    one, other = Held(make(4)), Held(make(7))
    assert one.type == other.type
    function = Binder().entry(both, (one.type, other.type))
    assert function(one.at, other.at) == total(make(4), 1.0) - total(make(7), 1.0)
