"""io_uring without a library: three system calls, two rings in shared memory, one compiled loop.

Layouts and numbers are those of ``linux/io_uring.h``; IORING_OP_READ and IORING_OP_WRITE need
Linux 5.6. Only x86-64, whose stores other processors see in order: the rings need no fences.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, assignment"
from __future__ import annotations

import ctypes
import mmap
import os
import platform
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tierlab.kernels.measure.engine import Requests

SETUP, ENTER = 425, 426
OFF_SQ_RING, OFF_CQ_RING, OFF_SQES = 0, 0x8000000, 0x10000000
GETEVENTS = 1
OP_READ, OP_WRITE = 22, 23
SQE_WORDS, CQE_WORDS = 8, 2
"""Words of 64 bits in an entry."""
_PARAMS_BYTES = 120
_SQ_OFF, _CQ_OFF = 40, 80
"""Where io_uring_params keeps the offsets of the rings' fields."""
MOST_RETRIES = 1000
"""Calls in a row that may fail (interrupted, or the kernel short of memory)."""


class Ring:
    """A ring of at most `most` requests in flight; `Ring.try_make` makes one."""

    name = "io_uring"

    def __init__(self, fd: int, params: Any) -> None:
        self._fd = fd
        entries, done = int(params[0]), int(params[1])
        sq = params[_SQ_OFF // 4 :]
        cq = params[_CQ_OFF // 4 :]
        self._sq = _mapped(fd, int(sq[6]) + 4 * entries, OFF_SQ_RING)
        self._cq = _mapped(fd, int(cq[5]) + 16 * done, OFF_CQ_RING)
        self._sqes = _mapped(fd, 64 * entries, OFF_SQES)
        self._views = (
            _view(self._sq, int(sq[0]), 1, np.uint32), _view(self._sq, int(sq[1]), 1, np.uint32),
            _view(self._sq, int(sq[6]), entries, np.uint32),
            _view(self._sqes, 0, entries * SQE_WORDS, np.uint64),
            _view(self._cq, int(cq[0]), 1, np.uint32), _view(self._cq, int(cq[1]), 1, np.uint32),
            _view(self._cq, int(cq[5]), done * CQE_WORDS, np.uint64),
        )  # fmt: skip

    @classmethod
    def try_make(cls, most: int) -> Ring | None:
        """Return a ring, or None where the kernel or the processor has none."""
        if platform.machine() != "x86_64":
            return None
        params = np.zeros(_PARAMS_BYTES // 4, np.uint32)
        fd = int(_libc().syscall(SETUP, most, params.ctypes.data, 0, 0, 0, 0))
        return cls(fd, params) if fd >= 0 else None

    def run(self, fd: int, requests: Requests) -> None:
        """Carry all out; raise OSError where one fails or is cut short."""
        status = _loop()(
            *self._views, self._fd, fd, requests.offsets, requests.writes, requests.size,
            requests.buffers.ctypes.data, np.arange(requests.depth), requests.held,
        )  # fmt: skip
        if status < 0:
            raise OSError(-status, os.strerror(-status))
        if status > 0:
            raise OSError(f"a request ended after {status - 1} of {requests.size} bytes")

    def close(self) -> None:
        """Give the ring back."""
        self._views = ()
        for ring in (self._sq, self._cq, self._sqes):
            ring.close()
        os.close(self._fd)


def _mapped(fd: int, size: int, offset: int) -> mmap.mmap:
    flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
    return mmap.mmap(fd, size, flags, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)


def _view(ring: mmap.mmap, offset: int, count: int, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(ring, dtype, count, offset)


@lru_cache(maxsize=1)
def _libc() -> Any:
    libc = ctypes.CDLL(None)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long] * 7
    return libc


@lru_cache(maxsize=1)
def _loop() -> Any:
    import numba

    syscall = _libc().syscall

    @numba.njit(nogil=True, error_model="numpy")
    def loop(
        sq_head, sq_tail, sq_array, sqes, cq_head, cq_tail, cqes, ring, fd, offsets, writes,
        size, base, free, held,
    ):  # fmt: skip
        mask, done_mask = len(sq_array) - 1, len(cqes) // CQE_WORDS - 1
        vacant, issued, done, status, retries = len(free), 0, 0, 0, 0
        while done < len(offsets) and (status == 0 or issued > done):
            tail = np.int64(sq_tail[0])
            while status == 0 and vacant > 0 and issued < len(offsets):
                vacant -= 1
                slot = free[vacant]
                at = (tail & mask) * SQE_WORDS
                code = OP_WRITE if writes[issued] else OP_READ
                sqes[at] = np.uint64(code | (fd << 32))
                sqes[at + 1] = np.uint64(offsets[issued])
                sqes[at + 2] = np.uint64(base + slot * size)
                sqes[at + 3] = np.uint64(size)
                sqes[at + 4] = np.uint64(slot)
                sqes[at + 5 : at + SQE_WORDS] = np.uint64(0)
                sq_array[tail & mask] = np.uint32(tail & mask)
                held[slot] = issued
                tail = (tail + 1) & 0xFFFFFFFF
                issued += 1
            sq_tail[0] = np.uint32(tail)
            waiting = (tail - np.int64(sq_head[0])) & 0xFFFFFFFF
            entered = syscall(ENTER, ring, waiting, 1, GETEVENTS, 0, 0)
            retries = retries + 1 if entered < 0 else 0
            if retries > MOST_RETRIES:
                return -5  # EIO
            head = np.int64(cq_head[0])
            while head != np.int64(cq_tail[0]):
                at = (head & done_mask) * CQE_WORDS
                result = np.int64(cqes[at + 1] & np.uint64(0xFFFFFFFF))
                if result >= 1 << 31:
                    status = result - (1 << 32)
                elif result != size:
                    status = result + 1
                free[vacant] = np.int64(cqes[at])
                vacant += 1
                done += 1
                head = (head + 1) & 0xFFFFFFFF
            cq_head[0] = np.uint32(head)
        return status

    return loop
