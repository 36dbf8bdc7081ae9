"""Loops that are compiled when they are first called, and run on all processors.

A loop is a plain function of arrays and numbers; what it calls is plain functions too, and vector
operations (`tierlab.kernels.compute.simd`). Threads are Python's, since compiled loops need no
interpreter: that takes a third of the time to compile of Numba's own threads, which moreover do
not survive a fork.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any

from tierlab.kernels.base.binding import Binder

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


@cache
def threads() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, threads() - 1), "tierlab-kernel")


os.register_at_fork(after_in_child=_pool.cache_clear)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a plain function when it is first called."""

    @cache
    def made() -> Callable[..., Any]:
        return Binder(inline=False, **_OPTIONS).entry(function)

    def call(*args: Any) -> Any:
        return made()(*args)

    return call


def shared(function: Callable[..., Any]) -> Callable[..., None]:
    """Return what runs `function(first, end, *args)` on all threads, called as (count, *args).

    Every thread takes one piece of ``range(count)``; this one waits for the others.
    """
    run = compiled(function)

    def call(count: int, *args: Any) -> None:
        pieces = min(threads(), count)
        edges = [count * i // pieces for i in range(pieces + 1)] if count else [0, 0]
        others = [_pool().submit(run, *edges[i : i + 2], *args) for i in range(1, pieces)]
        try:
            run(*edges[:2], *args)
        finally:
            for other in others:
                other.result()

    return call
