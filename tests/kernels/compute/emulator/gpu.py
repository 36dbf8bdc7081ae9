"""A stand-in for CuPy whose GPU is this processor: CUDA sources compiled as C++ (primitives.cuh).

Arrays are NumPy's. Only what the operations use is here.
"""

import ctypes
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np

from tierlab.kernels.compute.cuda import launch

FOLDER = Path(__file__).parent
ENTRY = """
extern "C" void run_{0}(void **given, const unsigned *grid, unsigned size, size_t shared) {{
  run_grid({0}, given, grid, size, shared);
}}
"""


class Array(np.ndarray):
    """What CuPy's arrays have and NumPy's have not."""

    def get(self) -> np.ndarray:
        return self.view(np.ndarray)


def empty(shape, dtype=np.float32) -> Array:
    """Return memory that nothing has been written to, as the poison tells."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF
    return array.view(Array)


class Kernel:
    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self._run = getattr(library, f"run_{name}")
        self.max_dynamic_shared_size_bytes = 48 * 1024

    def __call__(self, grid, block, arguments, shared_mem: int = 0) -> None:
        assert shared_mem <= self.max_dynamic_shared_size_bytes <= 227 * 1024
        kept = [self._value(a) for a in arguments]
        given = (ctypes.c_void_p * len(kept))(*(v.ctypes.data for v in kept))
        sizes = (ctypes.c_uint * 3)(*grid, *[1] * (3 - len(grid)))
        self._run(given, sizes, block[0], ctypes.c_size_t(shared_mem))

    @staticmethod
    def _value(argument) -> np.ndarray:
        """Return the bytes that a kernel's parameter takes: an address, or a number."""
        if isinstance(argument, np.ndarray):
            assert argument.flags.c_contiguous
            return np.array([argument.ctypes.data], np.uint64)
        assert isinstance(argument, np.generic), f"{argument!r} has no size"
        return np.array([argument])


class Gpu(types.ModuleType):
    """Module `cupy`; libraries are kept under `folder`."""

    int32, int64, uint8, float32, float64 = np.int32, np.int64, np.uint8, np.float32, np.float64
    argsort = staticmethod(lambda a, axis: np.argsort(a, axis, kind="stable"))
    sort, empty = staticmethod(np.sort), staticmethod(empty)

    def __init__(self, folder: Path) -> None:
        super().__init__("cupy")
        self._folder = folder
        device = types.SimpleNamespace(attributes={"MultiProcessorCount": 2})
        self.cuda = types.SimpleNamespace(Device=lambda: device)

    @staticmethod
    def empty_like(x) -> Array:
        return empty(x.shape, x.dtype)

    @staticmethod
    def asarray(x) -> Array:
        return np.array(x, order="C").view(Array)

    def RawModule(self, code: str, options: tuple[str, ...]):
        """Return what `get_function` is asked of."""
        library = self._library(code, options)
        return types.SimpleNamespace(get_function=lambda name: Kernel(library, name))

    def _library(self, code: str, options: tuple[str, ...]) -> ctypes.CDLL:
        names = re.findall(
            r'extern "C" __global__ void\s+(?:__launch_bounds__\(\d+\)\s+)?(\w+)', code
        )
        text = code + "".join(ENTRY.format(name) for name in names)
        stem = self._folder / f"k{abs(hash((code, options)))}"
        stem.with_suffix(".cpp").write_text(text)
        command = [
            "g++",
            "-O1",
            "-shared",
            "-fPIC",
            "-w",
            *options,
            "-o",
            f"{stem}.so",
            f"{stem}.cpp",
        ]
        subprocess.run(command, check=True)
        return ctypes.CDLL(f"{stem}.so")


def install(monkeypatch, folder: Path) -> Gpu:
    """Make `import cupy` this GPU, and sources use the stand-in of primitives.cuh."""
    gpu, source = Gpu(folder), launch.source
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    monkeypatch.setattr(launch, "source", lambda name: source(name, (FOLDER, launch.FOLDER)))
    launch._kernel.cache_clear()
    return gpu
