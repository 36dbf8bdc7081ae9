"""Which GPU this is, whether it can be used, and what its failures are told as."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.measure.provenance import Facts, cpu_facts

_QUERY = "driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu"
_FAILURES = (
    ("runtime", "CUDARuntimeError"),
    ("driver", "CUDADriverError"),
    ("memory", "OutOfMemoryError"),
    ("cublas", "CUBLASError"),
    ("compiler", "CompileException"),
    ("nvrtc", "NVRTCError"),
)
_OTHER = "--device cpu, or a machine with an NVIDIA GPU"


def require_gpu(number: int) -> None:
    """Refuse a GPU that cannot be used.

    Raises
    ------
    BadInput
        CuPy or the GPU is absent.
    """
    where = "--device"
    try:
        import cupy
    except ImportError as error:
        what = f"cuda:{number} needs CuPy, which cannot be imported ({error})"
        raise BadInput(where, what, "pip install 'tierlab[gpu]'; or --device cpu") from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BadInput(where, f"cuda:{number}: no GPU can be used ({error})", _OTHER) from None
    if number >= count:
        found = ", ".join(f"cuda:{i}" for i in range(count))
        raise BadInput(where, f"there is no cuda:{number}", found or _OTHER)


def failures() -> tuple[type[Exception], ...]:
    """Return the exceptions by which a GPU, or a library that it needs, tells that it failed."""
    found = (_failure(module, name) for module, name in _FAILURES)
    return (ImportError, *(each for each in found if each is not None))


def _failure(module: str, name: str) -> type[Exception] | None:
    """Return an exception of CuPy; None where the library behind it cannot be loaded."""
    import cupy

    try:
        found: type[Exception] = getattr(getattr(cupy.cuda, module), name)
    except (AttributeError, ImportError):
        return None
    return found


@contextmanager
def guarded(number: int) -> Iterator[None]:
    """Run with GPU `number`, and tell its failures in one line.

    Raises
    ------
    BadInput
        The GPU failed, was lost, or has too little memory.
    """
    import cupy

    try:
        with cupy.cuda.Device(number):
            yield
    except failures() as error:
        what = f"cuda:{number} failed: {error}"
        raise BadInput("--device", what, "a GPU that answers and that nobody else fills") from None


def memory_bytes(number: int) -> int:
    """Return the memory that the driver reports."""
    import cupy

    with guarded(number):
        return int(cupy.cuda.Device(number).mem_info[1])


def clock_hz(number: int) -> float:
    """Return the highest clock of the multiprocessors."""
    import cupy

    return 1e3 * float(cupy.cuda.Device(number).attributes["ClockRate"])


def gpu_facts(number: int) -> Facts:
    """Return what driver and runtime tell of the GPU, and of the host it is in."""
    host = cpu_facts()
    with guarded(number):
        found = _told_by_runtime(number)
    return {
        **found,
        **_told_by_driver(number),
        "host": host["device"],
        "cores": host["cores"],
        "kernel": host["kernel"],
    }


def _told_by_runtime(number: int) -> Facts:
    import cupy

    runtime, device = cupy.cuda.runtime, cupy.cuda.Device(number)
    name = runtime.getDeviceProperties(number)["name"]
    return {
        "device": name.decode() if isinstance(name, bytes) else str(name),
        "memory_bytes": memory_bytes(number),
        "multiprocessors": int(device.attributes["MultiProcessorCount"]),
        "compute_capability": device.compute_capability,
        "l2_bytes": int(device.attributes["L2CacheSize"]),
        "cuda_driver": runtime.driverGetVersion(),
        "cuda_runtime": runtime.runtimeGetVersion(),
    }


def _told_by_driver(number: int) -> Facts:
    """Return driver version, clocks, power limit and temperature, where nvidia-smi is there."""
    command = ["nvidia-smi", f"--id={number}", f"--query-gpu={_QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    values: list[Any] = [v.strip() for v in done.stdout.strip().split(",")]
    return dict(zip(_QUERY.split(","), values, strict=False))
