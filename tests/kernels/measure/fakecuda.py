"""What the measurements need of CuPy beside the kernels: streams, events, copies, pinned memory.

It stands on the emulator of the kernels' tests, whose GPU is this processor. Copies are done when
a stream is waited for, so that a missing wait shows.
"""

import ctypes
import importlib.util
import sys
import time
import types
from pathlib import Path
from types import MappingProxyType

import numpy as np

EMULATOR = Path(__file__).parents[1] / "compute" / "emulator" / "gpu.py"


class RuntimeFailure(RuntimeError):
    """Stands for CUDARuntimeError."""


class Stream:
    current: "Stream"

    def __init__(self, non_blocking: bool = False) -> None:
        self._todo = []
        self.ptr = id(self)
        BY_ADDRESS[self.ptr] = self

    def queue(self, work) -> None:
        self._todo.append(work)

    def synchronize(self) -> None:
        while self._todo:
            self._todo.pop(0)()

    def record(self) -> "Event":
        return Event()

    def __enter__(self) -> "Stream":
        self._before, Stream.current = Stream.current, self
        return self

    def __exit__(self, *_: object) -> None:
        Stream.current = self._before


BY_ADDRESS: dict[int, Stream] = {}


class Event:
    def record(self) -> None:
        Stream.current.synchronize()
        self.at = time.perf_counter()

    def synchronize(self) -> None: ...


class Device:
    attributes = MappingProxyType({"MultiProcessorCount": 2, "ClockRate": 1, "L2CacheSize": 2**16})
    mem_info = (2**24, 2**24)
    compute_capability = "90"

    def __init__(self, number: int = 0) -> None: ...

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None: ...

    def synchronize(self) -> None: ...


class Runtime(types.SimpleNamespace):
    """It loses its GPU at the copy `lost_at`."""

    CUDARuntimeError = RuntimeFailure
    memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice = 1, 2, 3
    copies, lost_at, count = 0, -1, 1

    def memcpyAsync(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self.copies += 1
        if self.copies == self.lost_at:
            raise RuntimeFailure("cudaErrorDeviceUnavailable: GPU is lost")
        BY_ADDRESS[stream].queue(lambda: ctypes.memmove(target, source, size))

    def getDeviceCount(self) -> int:
        if not self.count:
            raise RuntimeFailure("cudaErrorNoDevice: no CUDA-capable device is detected")
        return self.count

    def getDeviceProperties(self, number: int) -> dict:
        return {"name": b"Emulated GPU"}

    def driverGetVersion(self) -> int:
        return 12080

    runtimeGetVersion = driverGetVersion


class Pointer:
    def __init__(self, memory, offset: int) -> None:
        self.ptr = memory + offset


def _ndarray(array_type):
    def ndarray(shape, dtype, pointer):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = (ctypes.c_ubyte * size).from_address(pointer.ptr)
        return np.frombuffer(raw, dtype).reshape(shape).view(array_type)

    return ndarray


def install(monkeypatch, folder: Path):
    """Make `import cupy` this GPU."""
    spec = importlib.util.spec_from_file_location("emulator_gpu_of_measure", EMULATOR)
    emulator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emulator)
    gpu = emulator.install(monkeypatch, folder)
    array = emulator.Array
    array.data = property(lambda self: types.SimpleNamespace(ptr=self.ctypes.data))
    Stream.current = Stream()
    runtime = Runtime()
    gpu.cuda = types.SimpleNamespace(
        Device=Device, Stream=Stream, Event=Event, runtime=runtime,
        driver=types.SimpleNamespace(CUDADriverError=type("CUDADriverError", (Exception,), {})),
        memory=types.SimpleNamespace(OutOfMemoryError=MemoryError),
        get_current_stream=lambda: Stream.current,
        get_elapsed_time=lambda a, b: max(1e3 * (b.at - a.at), 1e-3),
        alloc_pinned_memory=ctypes.create_string_buffer,
        UnownedMemory=lambda address, size, owner, number: address,
        MemoryPointer=Pointer,
    )  # fmt: skip
    gpu.uint32, gpu.uint64, gpu.float16 = np.uint32, np.uint64, np.float16
    gpu.arange = lambda n, dtype: np.arange(n, dtype=dtype).view(array)
    gpu.full = lambda shape, value, dtype: np.full(shape, value, dtype).view(array)
    gpu.tile = lambda a, n: np.tile(a, n).view(array)
    gpu.matmul, gpu.isfinite, gpu.ndarray = np.matmul, np.isfinite, _ndarray(array)
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    return gpu
