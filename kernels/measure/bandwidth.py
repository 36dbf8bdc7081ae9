"""CPU memory: reading and copying buffers of some sizes with some threads.

Each call takes the next buffer of an arena several times as large as the last-level cache, so
that what it reads has left the caches. Threads are Python's, as those of the kernels. Rates count
the payload once: a copy of n bytes reads n and writes n, and where the processor fetches a line
before it overwrites it, reads 2 n.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.kernels.compute.jit import compiled, threads
from tierlab.kernels.measure.point import Measure, Point
from tierlab.kernels.measure.sampling import sample

WORD_BYTES = 8
POISON = np.uint64(0xA5A5A5A5A5A5A5A5)
SIZES = (2**16, 2**18, 2**20, 2**22, 2**24, 2**26)
QUICK_SIZES = (2**18, 2**24)
SMALLEST_ARENA = 2**28
CACHES = 4
"""The arena holds so many last-level caches on each side."""


def thread_counts(available: int) -> list[int]:
    """Return 1, 2, 4, ... and all."""
    powers = [2**i for i in range(available.bit_length()) if 2**i <= available]
    return sorted({*powers, available})


class Memory:
    """The part that reads and copies the CPU's memory.

    Parameters
    ----------
    quick
        Fewer sizes.
    cache_bytes
        Last-level cache, as the system tells it.
    """

    name = "memory"

    def __init__(self, quick: bool, cache_bytes: int) -> None:
        self._sizes = QUICK_SIZES if quick else SIZES
        self._arena = max(SMALLEST_ARENA // (2 if quick else 1), CACHES * cache_bytes)

    def points(self) -> Sequence[Point]:
        """Return read and copy by threads and size."""
        counts = thread_counts(threads())
        return [_point(op, size, n) for op in _CALLS for n in counts for size in self._sizes]

    @contextmanager
    def open(self) -> Iterator[Measure]:
        """Fill the arena, each word with its number."""
        words = np.arange(self._arena // WORD_BYTES, dtype=np.uint64)
        target = np.full_like(words, POISON)
        with ThreadPoolExecutor(max(1, threads() - 1)) as pool:
            yield lambda point, until: _measure(point, until, words, target, pool)


def _point(op: str, size: int, count: int) -> Point:
    columns = {
        "op": op,
        "src": "dram",
        "dst": "cpu" if op == "read" else "dram",
        "mechanism": "loads" if op == "read" else "loads and stores",
        "bytes": size,
        "piece_bytes": size,
        "pieces": 1,
        "threads": count,
        "load": "idle",
    }
    return Point("memory", columns)


Words = NDArray[np.uint64]


def _measure(
    point: Point, until: float, words: Words, target: Words, pool: Executor
) -> list[float]:
    count, size = int(point.columns["threads"]), int(point.columns["bytes"]) // WORD_BYTES
    make, check = _CALLS[str(point.columns["op"])]
    call = make(words, target, size, count, pool)
    call()
    check(words, target, size, call())
    samples = sample(call, until)
    check(words, target, size, call())
    return samples


Call = Callable[[], Any]


def _reader(words: Words, target: Words, size: int, count: int, pool: Executor) -> Call:
    sums = np.full(count, POISON)
    place = _Rotation(len(words), size)

    def call() -> Any:
        first = place.next()
        _spread(pool, count, _read, words[first : first + size], sums)
        return first, sums

    return call


def _copier(words: Words, target: Words, size: int, count: int, pool: Executor) -> Call:
    place = _Rotation(len(words), size)

    def call() -> Any:
        first = place.next()
        part = slice(first, first + size)
        _spread(pool, count, _copy, words[part], target[part])
        return first, None

    target[: min(len(target), 4 * size)] = POISON
    return call


def _spread(
    pool: Executor, count: int, run: Callable[..., None], words: Words, target: Words
) -> None:
    """Give each of `count` threads, this one among them, an equal part of `words`."""
    edges = [len(words) * i // count for i in range(count + 1)]
    others = [pool.submit(run, words, target, *edges[i : i + 2], i) for i in range(1, count)]
    run(words, target, *edges[:2], 0)
    for other in others:
        other.result()


class _Rotation:
    """Buffers in turn."""

    def __init__(self, whole: int, size: int) -> None:
        self._ends, self._size, self._at = whole - size, size, -size

    def next(self) -> int:
        self._at = 0 if self._at + self._size > self._ends else self._at + self._size
        return self._at


def _check_read(words: Words, target: Words, size: int, result: Any) -> None:
    first, sums = result
    wanted = (2 * first + size - 1) * size // 2
    if int(sums.sum()) != wanted:
        raise BrokenLaw(f"reading {size} words at {first} gave {int(sums.sum())}, not {wanted}")


def _check_copy(words: Words, target: Words, size: int, result: Any) -> None:
    first = result[0]
    if not np.array_equal(words[first : first + size], target[first : first + size]):
        raise BrokenLaw(f"copying {size} words at {first} did not write them")
    target[first : first + size] = POISON


_CALLS: dict[str, tuple[Callable[..., Call], Callable[..., None]]] = {
    "read": (_reader, _check_read),
    "copy": (_copier, _check_copy),
}


@compiled
def _read(words, sums, first, end, part):
    total = np.uint64(0)
    for word in words[first:end]:
        total += word
    sums[part] = total


@compiled
def _copy(words, target, first, end, part):
    _move(words[first:end], target[first:end])


def _move(words, target):
    for i in range(len(words)):
        target[i] = words[i]
