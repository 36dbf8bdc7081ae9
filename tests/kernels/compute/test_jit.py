"""Loops on several threads: every turn once, errors told, usable after a fork."""

import multiprocessing

import numpy as np
import pytest

from tierlab.kernels.compute import jit, rmsnorm


@jit.shared
def count(start, stop, turns):
    for i in range(start, stop):
        turns[i] += 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 1000])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_turn_runs_once(monkeypatch, turns: int, threads: int) -> None:
    monkeypatch.setattr(jit, "threads", lambda: threads)
    seen = np.zeros(turns, np.int64)
    count(turns, seen)
    np.testing.assert_array_equal(seen, np.ones(turns))


def test_an_error_is_told() -> None:
    with pytest.raises(Exception, match="untyped|Failed|Cannot"):
        count(10, object())


def normalised(rows: int) -> float:
    x = np.ones((rows, 16), np.float32)
    return float(rmsnorm.numba_version(x, np.ones(16, np.float32)).sum())


def test_a_fork_has_threads_of_its_own() -> None:
    expected = normalised(64)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(normalised, (64,)).get(timeout=30) == pytest.approx(expected)
