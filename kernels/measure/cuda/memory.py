"""GPU memory: reading and copying buffers of some sizes by kernels, and copying by the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.kernels.compute.cuda.launch import launch
from tierlab.kernels.measure.cuda.facts import guarded, memory_bytes
from tierlab.kernels.measure.cuda.timing import device_samples
from tierlab.kernels.measure.point import Measure, Point

WORD_BYTES = 16
SIZES = tuple(2**i for i in range(20, 31, 2))
QUICK_SIZES = (2**22, 2**28)
ARENA_BYTES = 2**31
"""On each side; it is held to an eighth of the memory."""
POISON = 0xA5
THREADS, BLOCKS_PER_SM = 256, 8
MECHANISMS = {"read": ("kernel",), "copy": ("kernel", "driver")}


class GpuMemory:
    """The part that reads and copies memory of GPU `number`."""

    name = "memory"

    def __init__(self, quick: bool, number: int) -> None:
        self._number = number
        self._arena = min(ARENA_BYTES, memory_bytes(number) // 8)
        sizes = QUICK_SIZES if quick else SIZES
        self._sizes = [size for size in sizes if 2 * size <= self._arena]

    def points(self) -> Sequence[Point]:
        """Return read and copy by mechanism and size."""
        return [
            _point(op, how, size)
            for op, ways in MECHANISMS.items()
            for how in ways
            for size in self._sizes
        ]

    @contextmanager
    def open(self) -> Iterator[Measure]:
        """Fill the arena, each 32 bits with their number."""
        import cupy

        with guarded(self._number):
            source = cupy.arange(self._arena // 4, dtype=cupy.uint32)
            target = cupy.empty_like(source)
        yield lambda point, until: self._measure(point, until, source, target)

    def _measure(self, point: Point, until: float, source: Any, target: Any) -> list[float]:
        size = int(point.columns["bytes"]) // 4
        op, how = str(point.columns["op"]), str(point.columns["mechanism"])
        firsts = range(0, len(source) - size + 1, size)
        with guarded(self._number):
            if op == "read":
                return _read(source, size, firsts, until, self._number)
            return _copy(source, target, size, firsts, until, how, self._number)


def _point(op: str, how: str, size: int) -> Point:
    columns = {
        "op": op,
        "src": "hbm",
        "dst": "gpu" if op == "read" else "hbm",
        "mechanism": how,
        "bytes": size,
        "piece_bytes": size,
        "pieces": 1,
        "load": "idle",
    }
    return Point("memory", columns)


def _grid(words: int) -> tuple[int]:
    import cupy

    most = BLOCKS_PER_SM * int(cupy.cuda.Device().attributes["MultiProcessorCount"])
    return (max(1, min(most, words // THREADS)),)


def _read(source: Any, size: int, firsts: range, until: float, number: int) -> list[float]:
    import cupy

    words = size // 4
    grid = _grid(words)
    sums = cupy.empty(grid[0] * THREADS, cupy.uint32)
    turn = cycle(firsts)

    def call() -> int:
        first = next(turn)
        part = source[first : first + size]
        launch("stream.read_words", grid, THREADS, (part, cupy.int64(words), sums), ELEMENT=0)
        return first

    sums.fill(2**32 - 1)
    first = call()
    wanted = (2 * first + size - 1) * size // 2 % 2**32
    found = int(sums.get().astype("uint64").sum()) % 2**32
    if found != wanted:
        raise BrokenLaw(f"reading {size} numbers at {first} gave {found}, not {wanted}")
    return device_samples(call, until, number)


def _copy(
    source: Any, target: Any, size: int, firsts: range, until: float, how: str, number: int
) -> list[float]:
    import cupy

    turn = cycle(firsts)
    move = _MOVES[how]

    def call() -> int:
        first = next(turn)
        move(source[first : first + size], target[first : first + size])
        return first

    target.view("uint8").fill(POISON)
    first = call()
    cupy.cuda.get_current_stream().synchronize()
    if not bool((source[first : first + size] == target[first : first + size]).all()):
        raise BrokenLaw(f"copying {size} numbers at {first} did not write them")
    return device_samples(call, until, number)


def _by_kernel(source: Any, target: Any) -> None:
    import cupy

    words = source.nbytes // WORD_BYTES
    operands = (source, cupy.int64(words), target)
    launch("stream.copy_words", _grid(words), THREADS, operands, ELEMENT=0)


def _by_driver(source: Any, target: Any) -> None:
    import cupy

    runtime = cupy.cuda.runtime
    stream = cupy.cuda.get_current_stream().ptr
    runtime.memcpyAsync(
        target.data.ptr, source.data.ptr, source.nbytes, runtime.memcpyDeviceToDevice, stream
    )


_MOVES: dict[str, Callable[[Any, Any], None]] = {"kernel": _by_kernel, "driver": _by_driver}
