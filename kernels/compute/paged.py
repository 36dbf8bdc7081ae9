"""The paged KV cache that attention reads: its layout, its checks, its work split.

Keys are stored channel by channel, ``keys[blocks, kv_heads, dim, block]``, values token by token,
``values[blocks, kv_heads, block, dim]``: both products of attention then run along the vector and
need no sums across it. It is vLLM's layout of keys (csrc/attention, ``head_size/x, block_size,
x``) with x = 1. ``table[sequence, i]`` is the block that holds tokens ``i x block`` and on.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.jit import compiled

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int32]
TILE = 4
"""Query rows that a tile of registers holds."""


def check_cache(
    q: Any, keys: Any, values: Any, table: Any, lengths: Any, step: int = LANES
) -> None:
    """Refuse caches that the loops cannot read.

    Raises
    ------
    BadInput
        Shapes disagree, a size is no multiple of `step`, or a length or block lies outside.
    """
    check_shapes(q, keys, values, table, lengths, step)
    check_table(table, lengths, keys.shape[0], keys.shape[3])


def check_shapes(
    q: Any, keys: Any, values: Any, table: Any, lengths: Any, step: int = LANES
) -> None:
    """Refuse caches by their shapes alone, which reads nothing from a GPU.

    Raises
    ------
    BadInput
        Shapes disagree, heads are not grouped evenly, or a size is no multiple of `step`.
    """
    blocks, kv_heads, dim, block = keys.shape
    check_heads(q.shape[1], kv_heads)
    if len(table) != len(lengths):
        raise BadInput("table", f"{len(table)} rows for {len(lengths)} sequences", "one a sequence")
    if values.shape != (blocks, kv_heads, block, dim):
        raise BadInput("values", f"shape {values.shape}", f"{(blocks, kv_heads, block, dim)}")
    if q.shape[2] != dim:
        raise BadInput("q", f"heads of {q.shape[2]}", f"heads of {dim}, as the keys")
    if dim % step or block % step:
        what = f"head size {dim}, {block} tokens a block"
        raise BadInput("keys", what, f"multiples of {step}")


def check_table(table: Any, lengths: Any, blocks: int, block: int) -> None:
    """Refuse lengths below 1 or beyond their table, and block ids that do not exist."""
    if _fits(table, lengths, blocks, block):
        return
    if not 1 <= int(lengths.min()) <= int(lengths.max()) <= table.shape[1] * block:
        what = f"lengths from {lengths.min()} to {lengths.max()}"
        raise BadInput("lengths", what, f"1 to {table.shape[1] * block} tokens")
    raise BadInput("table", "a block id is outside the cache", f"0 to {blocks - 1}")


def _all_fit(table, lengths, blocks, block):
    for sequence in range(len(lengths)):
        if not 1 <= lengths[sequence] <= table.shape[1] * block:
            return False
        for i in range((lengths[sequence] + block - 1) // block):
            if not 0 <= table[sequence, i] < blocks:
                return False
    return True


_fits = compiled(_all_fit)


def check_heads(heads: int, kv_heads: int) -> int:
    """Return the query heads of a KV head."""
    if heads % kv_heads:
        raise BadInput("q", f"{heads} heads over {kv_heads} KV heads", "a multiple of the KV heads")
    return heads // kv_heads


def default_scale(scale: float | None, dim: int) -> float:
    """Return `scale`, or 1 / sqrt(dim)."""
    return 1.0 / math.sqrt(dim) if scale is None else scale


def dense(cache: Any, table: Any, sequence: int, length: int, tokens_last: bool) -> Any:
    """Return a sequence's keys (`tokens_last`) or values as float64[length, kv_heads, dim]."""
    block = cache.shape[3] if tokens_last else cache.shape[2]
    used = cache[table[sequence, : -(-length // block)]].astype(np.float64)
    order = (0, 3, 1, 2) if tokens_last else (0, 2, 1, 3)
    rows = used.transpose(order)
    return rows.reshape(-1, *rows.shape[2:])[:length]


def padded_queries(q: Any, kv_heads: int, scale: float) -> Floats32:
    """Return queries times `scale` as float32[batch, kv_heads, rows, dim].

    The rows of a KV head are filled with zeros to a multiple of `TILE`.
    """
    batch, heads, dim = q.shape
    group = check_heads(heads, kv_heads)
    rows = -(-group // TILE) * TILE
    if rows == group:
        scaled: Floats32 = (q * np.float32(scale)).astype(np.float32, copy=False)
        return scaled.reshape(batch, kv_heads, rows, dim)
    padded = np.zeros((batch, kv_heads, rows, dim), np.float32)
    np.multiply(q.reshape(batch, kv_heads, group, dim), np.float32(scale), out=padded[:, :, :group])
    return padded


def plan(table: Any, lengths: Any, blocks: int, block: int, parts: int) -> NDArray[np.int64]:
    """Check as `check_table`, and cut sequences into tasks of nearly equal blocks, about `parts`.

    Both in one call: after gigabytes went through the caches, a call of anything costs 10 us.

    Returns
    -------
    int64[tasks, 3]: sequence, first block, end block; in order of sequences.

    Raises
    ------
    BadInput
        A length or a block id lies outside.
    """
    rows = np.empty((max(parts, 1) + len(lengths), 3), np.int64)
    count = _plan(table, lengths, blocks, block, max(parts, 1), rows)
    if count < 0:
        check_table(table, lengths, blocks, block)
    return rows[:count]


@compiled
def _plan(table, lengths, blocks, block, parts, rows):
    return _split(lengths, block, parts, rows) if _all_fit(table, lengths, blocks, block) else -1


def _split(lengths, block, parts, rows):
    total = 0
    for length in lengths:
        total += (length + block - 1) // block
    size, at = max(1, (total + parts - 1) // parts), 0
    for sequence in range(len(lengths)):
        count = (lengths[sequence] + block - 1) // block
        pieces = (count + size - 1) // size
        for i in range(pieces):
            rows[at, 0] = sequence
            rows[at, 1], rows[at, 2] = count * i // pieces, count * (i + 1) // pieces
            at += 1
    return at
