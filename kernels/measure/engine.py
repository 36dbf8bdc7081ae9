"""Many reads and writes of one file in flight at once: by io_uring, else by threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.measure.directfile import aligned
from tierlab.kernels.measure.uring import Ring


@dataclass(frozen=True, eq=False)
class Requests:
    """What one call does.

    Attributes
    ----------
    offsets
        int64[n], where each piece begins in the file.
    writes
        bool[n], whether it is written.
    size
        Bytes of a piece.
    depth
        Pieces in flight.
    buffers
        uint64[depth, size / 8], aligned; a piece takes one that is free.
    held
        int64[depth], set to the index of the request that each buffer last served.
    """

    offsets: NDArray[np.int64]
    writes: NDArray[np.bool_]
    size: int
    depth: int
    buffers: NDArray[np.uint64]
    held: NDArray[np.int64]


def buffers_for(size: int, depth: int) -> NDArray[np.uint64]:
    """Return aligned buffers, uint64[depth, size / 8]."""
    return aligned(size * depth).reshape(depth, -1)


class Engine(Protocol):
    """What carries requests out."""

    name: str

    def run(self, fd: int, requests: Requests) -> None:
        """Carry all out; raise OSError where one fails or is cut short."""

    def close(self) -> None:
        """Give back what it holds."""


class Threads:
    """One thread a piece in flight, each with pread and pwrite."""

    name = "threads"

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most)

    def run(self, fd: int, requests: Requests) -> None:
        """Carry all out."""
        list(self._pool.map(lambda slot: _lane(fd, requests, slot), range(requests.depth)))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def _lane(fd: int, requests: Requests, slot: int) -> None:
    view = memoryview(requests.buffers[slot]).cast("B")
    last = -1
    for last in range(slot, len(requests.offsets), requests.depth):
        offset = int(requests.offsets[last])
        done = (
            os.pwrite(fd, view, offset) if requests.writes[last] else os.preadv(fd, [view], offset)
        )
        if done != requests.size:
            raise OSError(f"{done} of {requests.size} bytes at {offset}")
    requests.held[slot] = last


@lru_cache(maxsize=1)
def engine_name() -> str:
    """Return the name of what `best_engine` yields on this machine."""
    with best_engine(1) as engine:
        return engine.name


@contextmanager
def best_engine(most: int) -> Iterator[Engine]:
    """Yield io_uring where the kernel allows it, else threads; at most `most` in flight."""
    ring = Ring.try_make(most)
    engine = ring or Threads(most)
    try:
        yield engine
    finally:
        engine.close()
