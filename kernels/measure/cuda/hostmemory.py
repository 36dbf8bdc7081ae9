"""Host memory that a GPU copies from and to: pinned or pageable."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = ("pinned", "pageable")


def host_words(kind: str, size_bytes: int) -> tuple[NDArray[np.uint64], Any]:
    """Return words of host memory, written once, and what keeps them alive."""
    if kind == "pageable":
        words = np.zeros(size_bytes // 8, np.uint64)
        words[:] = 0
        return words, words
    import cupy

    memory = cupy.cuda.alloc_pinned_memory(size_bytes)
    words = np.frombuffer(memory, np.uint64, size_bytes // 8)
    words[:] = 0
    return words, memory


def seen_by_gpu(words: NDArray[np.uint64], owner: Any, piece_bytes: int, number: int) -> Any:
    """Return pinned memory as the GPU's array, uint8[pieces, piece_bytes].

    Unified addressing gives it the same address on both sides.
    """
    import cupy

    memory = cupy.cuda.UnownedMemory(words.ctypes.data, words.nbytes, owner, number)
    pointer = cupy.cuda.MemoryPointer(memory, 0)
    pieces = words.nbytes // piece_bytes
    return cupy.ndarray((pieces, piece_bytes), cupy.uint8, pointer)
