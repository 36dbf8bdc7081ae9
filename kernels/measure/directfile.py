"""A nameless file for direct I/O, and buffers that direct I/O takes.

The file never has a name, or loses it at once: whatever ends the process, nothing is left behind.
Every 4 KiB of it begin with their own number, so that a read proves what it brought.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.units import gib
from tierlab.kernels.measure.point import Unavailable

UNIT_BYTES = 4096
"""Alignment and granule of all direct I/O here; drives with larger sectors refuse it."""
_FILL_BYTES = 2**22
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def aligned(size_bytes: int) -> NDArray[np.uint64]:
    """Return zeroed words at a page's beginning, uint64[size_bytes / 8]."""
    return np.frombuffer(mmap.mmap(-1, size_bytes), np.uint64)


@contextmanager
def direct_file(folder: Path, size_bytes: int, where: str) -> Iterator[int]:
    """Yield the descriptor of a file of random, stamped content, opened for direct I/O.

    Parameters
    ----------
    folder, where
        Where its bytes lie, and the option that says so.

    Raises
    ------
    Unavailable
        The file system has no direct I/O.
    BadInput
        There is no such folder, it cannot be written, or it is too full.
    """
    fd = _open(folder, where)
    try:
        _fill(fd, folder, size_bytes, where)
        yield fd
    finally:
        os.close(fd)


def _open(folder: Path, where: str) -> int:
    try:
        return _nameless(folder)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise Unavailable(f"{folder} does not allow direct I/O") from None
        reason = error.strerror or str(error)
        raise BadInput(where, f"cannot write in {folder}: {reason}", "a writable folder") from None


def _nameless(folder: Path) -> int:
    flags = os.O_RDWR | os.O_DIRECT
    try:
        return os.open(folder, flags | os.O_TMPFILE, 0o600)
    except OSError as error:
        if error.errno not in _NO_NAMELESS or not folder.is_dir():
            raise
    named, path = tempfile.mkstemp(prefix=".tierlab-", dir=folder)
    try:
        return os.open(path, flags)
    finally:
        os.unlink(path)
        os.close(named)


def _fill(fd: int, folder: Path, size_bytes: int, where: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise _too_full(folder, size_bytes, f"has {gib(free)} free", where)
    rng = np.random.default_rng(0)
    block = aligned(_FILL_BYTES)
    block[:] = rng.integers(0, 2**64, len(block), np.uint64)
    try:
        for first in range(0, size_bytes, _FILL_BYTES):
            stamp(block, first)
            done = os.pwrite(fd, block.data.cast("B")[: size_bytes - first], first)
            if done < min(_FILL_BYTES, size_bytes - first):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        if error.errno in _FULL:
            raise _too_full(folder, size_bytes, "is full", where) from None
        if error.errno == errno.EINVAL:
            raise Unavailable(f"{folder} refuses direct I/O of {UNIT_BYTES} bytes") from None
        raise


def _too_full(folder: Path, size_bytes: int, what: str, where: str) -> BadInput:
    accepted = f"a folder with {gib(size_bytes)} free, or --skip files"
    return BadInput(where, f"{folder} {what}; direct I/O is measured in a file there", accepted)


def stamp(words: NDArray[np.uint64], offset: int, mask: int = 0) -> None:
    """Write to each unit its number in the file, xor `mask`; `offset` is of the first."""
    units = words.reshape(-1, UNIT_BYTES // 8)
    units[:, 0] = np.arange(len(units), dtype=np.uint64) + np.uint64(offset // UNIT_BYTES)
    units[:, 0] ^= np.uint64(mask)


def stamped(words: NDArray[np.uint64], offset: int, mask: int = 0) -> bool:
    """Return whether each unit of `words` has its number, as `stamp` writes it."""
    units = words.reshape(-1, UNIT_BYTES // 8)
    wanted = np.arange(len(units), dtype=np.uint64) + np.uint64(offset // UNIT_BYTES)
    return bool((units[:, 0] == wanted ^ np.uint64(mask)).all())
