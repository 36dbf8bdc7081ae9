"""Gather KV blocks into one piece, and scatter them back: what a copy between tiers begins with."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute.cuda.launch import launch
from tierlab.kernels.compute.jit import shared

WORD_BYTES = 16
"""What one GPU thread moves at a time."""


def _check(cache: Any, ids: Any, rows: int | None = None) -> None:
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(cache):
        raise BadInput("ids", "a block id is outside the cache", f"0 to {len(cache) - 1}")
    if rows is not None and rows != len(ids):
        raise BadInput("data", f"{rows} blocks for {len(ids)} ids", "one an id")


def reference(cache: Any, ids: Any) -> Any:
    """Gather by array indexing."""
    _check(cache, ids)
    return cache[ids]


def scatter_reference(cache: Any, ids: Any, data: Any) -> None:
    """Scatter by array indexing."""
    _check(cache, ids, len(data))
    cache[ids] = data


def numba_version(cache: Any, ids: Any) -> Any:
    """Copy blocks of a cache side by side.

    Parameters
    ----------
    cache
        Contiguous array of any type, [blocks, ...].
    ids
        int32[n], blocks in the order wanted.

    Raises
    ------
    BadInput
        An id lies outside.
    """
    _check(cache, ids)
    out = np.empty((len(ids), *cache.shape[1:]), cache.dtype)
    _gather(len(ids), _bytes(cache), ids, _bytes(out))
    return out


def scatter_numba_version(cache: Any, ids: Any, data: Any) -> None:
    """Copy blocks lying side by side to their places in a cache; ids are distinct.

    Raises
    ------
    BadInput
        An id lies outside, or there are more or fewer blocks than ids.
    """
    _check(cache, ids, len(data))
    _scatter(len(ids), _bytes(cache), ids, _bytes(np.ascontiguousarray(data)))


def cupy_version(cache: Any, ids: Any, out: Any = None) -> Any:
    """Gather on the GPU by a copying kernel; `cache` may be pinned host memory seen by the GPU."""
    import cupy

    made = cupy.empty((len(ids), *cache.shape[1:]), cache.dtype) if out is None else out
    _launch("gather", cache, ids, made)
    return made


def scatter_cupy_version(cache: Any, ids: Any, data: Any) -> None:
    """Scatter on the GPU by a copying kernel; ids are distinct."""
    _launch("scatter", cache, ids, data)


def _launch(name: str, cache: Any, ids: Any, data: Any) -> None:
    import cupy

    size = cache.nbytes // max(1, len(cache))
    if size % WORD_BYTES:
        raise BadInput("cache", f"blocks of {size} bytes", f"a multiple of {WORD_BYTES} bytes")
    words = size // WORD_BYTES
    grid = (len(ids), min(8, -(-words // 256)))
    operands = (cache, ids.astype(cupy.int32), cupy.int64(words), data)
    launch(f"gather.{name}", grid, 256, operands)


def _bytes(blocks: Any) -> Any:
    width = blocks[:1].nbytes if len(blocks) else 0
    return blocks.reshape(-1).view(np.uint8).reshape(len(blocks), width)


@shared
def _gather(start, stop, cache, ids, out):
    for i in range(start, stop):
        _copy(cache[ids[i]], out[i])


@shared
def _scatter(start, stop, cache, ids, data):
    for i in range(start, stop):
        _copy(data[i], cache[ids[i]])


def _copy(a, b):
    for k in range(len(a)):
        b[k] = a[k]
