"""Compiles the CUDA sources without a GPU, and says what they need of one.

NVRTC comes alone in the package ``nvidia-cuda-nvrtc-cu12``; CuPy, which needs a driver to compile,
is not involved.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tierlab.kernels.compute.cuda.launch import flags, source

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
"""A100, H100 and H200, B200."""

VARIANTS: tuple[tuple[str, dict[str, int]], ...] = (
    ("elementwise", {"ELEMENT": 0}),
    ("elementwise", {"ELEMENT": 1}),
    ("blocks", {"ELEMENT": 1}),
    ("gather", {}),
    ("stream", {"ELEMENT": 0}),
    ("quantise", {"ELEMENT": 1, "BITS": 4}),
    ("join", {"ELEMENT": 2}),
    ("decode", {"ELEMENT": 1, "DIM": 128}),
    ("decode", {"ELEMENT": 2, "DIM": 64}),
    ("decode_codes", {"ELEMENT": 1, "DIM": 128, "BITS": 4}),
    ("decode_codes", {"ELEMENT": 1, "DIM": 128, "BITS": 2}),
    ("prefill", {"ELEMENT": 2, "DIM": 128}),
)
"""Sources and constants that cover every kernel, the largest heads among them."""


class CompileError(Exception):
    """A source does not compile; the compiler's words."""


@dataclass(frozen=True)
class Need:
    """What a kernel needs of each thread.

    Attributes
    ----------
    kernel
        Function's name.
    registers
        32-bit registers; 65,536 of them serve all threads of an SM.
    spill_bytes
        Registers stored to and loaded from memory because there were too few.
    stack_bytes
        Local memory.
    """

    kernel: str
    registers: int
    spill_bytes: int
    stack_bytes: int


def library() -> Path | None:
    """Return where NVRTC lies, if it is installed."""
    spec = find_spec("nvidia") and find_spec("nvidia.cuda_nvrtc")
    folders = (spec.submodule_search_locations if spec else None) or []
    found = (path for folder in folders for path in Path(folder).glob("lib/libnvrtc.so.*"))
    return next(found, None)


@cache
def _load(path: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(path))


def needs(name: str, architecture: str, constants: dict[str, int]) -> list[Need]:
    """Compile ``NAME.cu`` to machine code for one architecture.

    Raises
    ------
    FileNotFoundError
        NVRTC is not installed.
    CompileError
        The source does not compile.
    """
    path = library()
    if path is None:
        raise FileNotFoundError("NVRTC: package nvidia-cuda-nvrtc-cu12 is not installed")
    options = (f"--gpu-architecture={architecture}", "--ptxas-options=-v", *flags(constants))
    failed, log = _compile(_load(path), f"{name}.cu", source(name), options)
    if failed:
        raise CompileError(log)
    return _parse(log)


def _compile(
    nvrtc: ctypes.CDLL, name: str, text: str, options: tuple[str, ...]
) -> tuple[bool, str]:
    """Return whether it failed, and the log."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    try:
        failed = nvrtc.nvrtcCompileProgram(program, len(options), given) != 0
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return failed, log.value.decode()


def _parse(log: str) -> list[Need]:
    pattern = (
        r"entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
        r"(\d+) bytes spill loads.*?Used (\d+) registers"
    )
    return [
        Need(kernel, int(registers), int(stores) + int(loads), int(stack))
        for kernel, stack, stores, loads, registers in re.findall(pattern, log, re.DOTALL)
    ]
