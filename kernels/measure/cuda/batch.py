"""Many copies by one call to the driver: cuMemcpyBatchAsync, CUDA 12.8 and later.

Entry point and structures are those of ``cuda.h`` 12.8; later drivers keep the symbol beside
``cuMemcpyBatchAsync_v2``. vLLM calls it the same way (vllm/v1/simple_kv_offload/cuda_mem_ops.py).
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput

ANY_ORDER = 3
"""CU_MEMCPY_SRC_ACCESS_ORDER_ANY: sources do not change while they are read."""
Addresses = NDArray[np.uint64]


class _Location(ctypes.Structure):
    _fields_ = (("type", ctypes.c_uint), ("id", ctypes.c_int))


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("srcAccessOrder", ctypes.c_uint),
        ("srcLocHint", _Location),
        ("dstLocHint", _Location),
        ("flags", ctypes.c_uint),
    )


@lru_cache(maxsize=1)
def _entry() -> Any:
    try:
        entry = ctypes.CDLL("libcuda.so.1").cuMemcpyBatchAsync
    except (OSError, AttributeError):
        return None
    entry.restype = ctypes.c_uint
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    entry.argtypes = [pointer, pointer, pointer, size, pointer, pointer, size, pointer, pointer]
    return entry


def available() -> bool:
    """Return whether the driver has it."""
    return _entry() is not None


class Batch:
    """Copies that are issued together, as often as wanted.

    Parameters
    ----------
    targets, sources
        uint64[n], addresses on either side.
    size
        Bytes of each.
    """

    def __init__(self, targets: Addresses, sources: Addresses, size: int) -> None:
        self._targets, self._sources = targets, sources
        self._sizes = np.full(len(targets), size, np.uint64)
        self._attributes = _Attributes(srcAccessOrder=ANY_ORDER)
        self._first, self._failed = ctypes.c_size_t(0), ctypes.c_size_t(0)

    def issue(self, stream: int) -> None:
        """Queue all on a stream that is not the default one.

        Raises
        ------
        BadInput
            The driver refuses.
        """
        status = _entry()(
            self._targets.ctypes.data, self._sources.ctypes.data, self._sizes.ctypes.data,
            len(self._sizes), ctypes.addressof(self._attributes), ctypes.addressof(self._first),
            1, ctypes.addressof(self._failed), stream,
        )  # fmt: skip
        if status:
            what = f"the driver refused cuMemcpyBatchAsync with error {status}"
            raise BadInput("--device", what, "--skip copies")
