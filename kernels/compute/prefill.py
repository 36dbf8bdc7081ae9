"""Prefill attention over a paged KV cache: chunks of queries, causal, over what is cached before.

FlashAttention's schedule (Dao et al., arXiv 2205.14135): a tile of queries meets tiles of 64 keys
in turn under an online softmax, so that no score matrix is ever written to memory. Four rows at a
time stop where the mask cuts them off, in steps of 16 keys.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute import paged
from tierlab.kernels.compute.cuda import splitkv
from tierlab.kernels.compute.cuda.launch import element, launch
from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.jit import shared, threads
from tierlab.kernels.compute.paged import TILE
from tierlab.kernels.compute.prefill_tile import begin, pack, score, weigh
from tierlab.kernels.compute.simd import claim, load, mul, splat, store, total
from tierlab.kernels.compute.softmax import hide, soften
from tierlab.kernels.compute.tile import WIDE

QUERIES = 64
"""Queries of a tile on a GPU."""
ROWS = 128
"""Rows of a tile here, each a query under one of the query heads that share a KV head: enough that
packing 64 keys and values costs little beside them."""


def reference(
    q: Any, keys: Any, values: Any, table: Any, starts: Any, lengths: Any,
    scale: float | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Attend in float64; see `numba_version` for the operands."""
    factor = paged.default_scale(scale, q.shape[2])
    group = paged.check_heads(q.shape[1], keys.shape[1])
    out, lse = np.zeros(q.shape), np.zeros(q.shape[:2])
    for i, length in enumerate(lengths):
        rows = slice(starts[i], starts[i + 1])
        k = np.repeat(paged.dense(keys, table, i, length, True), group, axis=1)
        v = np.repeat(paged.dense(values, table, i, length, False), group, axis=1)
        scores = np.einsum("qhd,thd->hqt", q[rows].astype(np.float64), k) * factor
        count = starts[i + 1] - starts[i]
        scores[:, ~np.tri(count, length, length - count, dtype=bool)] = -np.inf
        peak = scores.max(axis=2, keepdims=True)
        weights = np.exp(scores - peak)
        total = weights.sum(axis=2)
        out[rows] = np.einsum("hqt,thd->qhd", weights / total[..., None], v)
        lse[rows] = (peak[..., 0] + np.log(total)).T
    return out, lse


def check_starts(q: Any, starts: Any, lengths: Any) -> None:
    """Refuse chunks that do not cover the queries, or are longer than what is cached.

    Raises
    ------
    BadInput
        With the offending sizes.
    """
    counts = np.diff(starts)
    if len(starts) != len(lengths) + 1 or starts[0] != 0 or starts[-1] != len(q):
        raise BadInput("starts", f"{starts} for {len(q)} queries", "0, ..., the queries in all")
    if len(counts) and ((counts < 1) | (counts > lengths)).any():
        what = f"chunks of {counts.min()} to {counts.max()} queries"
        raise BadInput("starts", what, "1 query or more, no more than the cached tokens")


def numba_version(
    q: Any, keys: Any, values: Any, table: Any, starts: Any, lengths: Any,
    scale: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """Attend chunks of new tokens, whose keys and values are cached already.

    Parameters
    ----------
    q
        float32[tokens, heads, dim], the chunks one after another.
    keys, values, table, scale
        As `decode.numba_version`.
    starts
        int32[batch + 1], the first query of each sequence, and the end.
    lengths
        int32[batch], cached tokens; the last query of a chunk sees all of them, each one before
        it one token fewer.

    Returns
    -------
    float32[tokens, heads, dim] and log-sum-exps float32[tokens, heads].

    Raises
    ------
    BadInput
        Shapes disagree, or a length, chunk or block id lies outside.
    """
    paged.check_cache(q, keys, values, table, lengths)
    group = paged.check_heads(q.shape[1], keys.shape[1])
    check_starts(q, starts, lengths)
    dim, block = keys.shape[2:]
    queries = max(1, ROWS // group)
    tasks = _tasks(starts, keys.shape[1], queries)
    out, lse = np.empty(q.shape, np.float32), np.empty(q.shape[:2], np.float32)
    q = np.ascontiguousarray(q, np.float32)
    rows, slots = -(-queries * group // TILE) * TILE, threads()
    room = 2 * rows * dim + WIDE * (dim + -(-dim // WIDE) * WIDE) + rows * WIDE
    _attend(
        slots, q.reshape(-1), keys.reshape(-1), values.reshape(-1), table, starts, lengths, tasks,
        np.array([q.shape[1], group, dim, block, rows]),
        np.float32(paged.default_scale(scale, dim)), out.reshape(-1), lse.reshape(-1),
        _lines(slots, room), np.empty((slots, rows), np.float32), _lines(slots, rows * LANES),
        np.zeros(1, np.int64),
    )  # fmt: skip
    return out, lse


def cupy_version(
    q: Any, keys: Any, values: Any, table: Any, starts: Any, lengths: Any,
    scale: float | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Attend on the GPU's tensor cores; operands as `numba_version`, on the GPU.

    Floats are float16, or bfloat16 as uint16; the head size is 128 at most. Starts are read from
    the GPU to lay out the work; block ids are not checked.

    Raises
    ------
    BadInput
        Shapes disagree, a chunk is not covered, or a type or size is not taken.
    """
    import cupy

    paged.check_shapes(q, keys, values, table, lengths)
    splitkv.check(q, LANES)
    check_starts(q, starts.get(), lengths.get())
    kv_heads, dim, block = keys.shape[1:]
    out, lse = cupy.empty_like(q), cupy.empty(q.shape[:2], cupy.float32)
    tasks = cupy.asarray(_chunks(starts.get(), QUERIES))
    factor = cupy.float32(paged.default_scale(scale, dim))
    sizes = (factor, kv_heads, block, table.shape[1])
    launch(
        "prefill.attend", (q.shape[1], len(tasks)), 32 * splitkv.WARPS,
        (q, keys, values, table, starts, lengths, tasks, *sizes, out, lse),
        2 * 2 * (dim * (WIDE + 8) + WIDE * (dim + 8)), ELEMENT=element("q", q), DIM=dim,
    )  # fmt: skip
    return out, lse


def _lines(slots: int, count: int) -> NDArray[np.float32]:
    """Return float32[slots, count] that starts with a cache line, `count` a multiple of 16."""
    room = np.empty(slots * count + LANES, np.float32)
    at = -room.__array_interface__["data"][0] % (4 * LANES) // 4
    return room[at : at + slots * count].reshape(slots, count)


def _chunks(starts: Any, queries: int) -> NDArray[np.int32]:
    """Return int32[tasks, 3]: sequence, first and end query; longest contexts first."""
    rows = [
        (i, at, min(at + queries, int(starts[i + 1])))
        for i in range(len(starts) - 1)
        for at in reversed(range(int(starts[i]), int(starts[i + 1]), queries))
    ]
    return np.array(rows, np.int32).reshape(-1, 3)


def _tasks(starts: Any, kv_heads: int, queries: int) -> NDArray[np.int64]:
    """Return int64[tasks, 4]: `_chunks` for every KV head, the head second."""
    chunks = _chunks(starts, queries).tolist()
    rows = [(i, head, at, end) for i, at, end in chunks for head in range(kv_heads)]
    return np.array(rows, np.int64).reshape(-1, 4)


@shared
def _attend(
    start, stop, q, keys, values, table, starts, lengths, tasks, sizes, scale, out, lse, rooms,
    peaks, sums, turns,
):  # fmt: skip
    for slot in range(start, stop):
        turn = claim(turns, 0)
        while turn < len(tasks):
            _task(
                q, keys, values, table, starts, lengths, tasks[turn], sizes, scale, out, lse,
                rooms[slot], peaks[slot], sums[slot],
            )  # fmt: skip
            turn = claim(turns, 0)


def _task(q, keys, values, table, starts, lengths, task, sizes, scale, out, lse, room, peak, sums):
    """Run a tile of queries, under the heads of one KV head, against all that they see."""
    heads, group, dim, most = sizes[0], sizes[1], sizes[2], sizes[4]
    sequence, head, first, end = task[0], task[1], task[2], task[3]
    summed, k = most * dim, 2 * most * dim
    v = k + WIDE * dim
    s, rows = v + (dim + WIDE - 1) // WIDE * WIDE * WIDE, (end - first) * group
    query = first * heads + head * group
    begin(q, query, heads, group, rows, dim, scale, room, summed, peak, sums)
    seen = lengths[sequence] - starts[sequence + 1] + first + 1
    reach = seen + end - first - 1
    for token in range(0, reach, WIDE):
        count, sees = min(WIDE, reach - token), seen - token
        low = max(0, 1 - sees) * group // TILE * TILE
        pack(keys, values, table[sequence], token, count, head, sizes, room, k, v)
        score(room, k, s, low, rows, group, sees, dim)
        for row in range(low, rows, TILE):
            w = s + row * WIDE
            for r in range(TILE):
                hide(room, w + r * WIDE, WIDE, max(0, min(count, sees + (row + r) // group)))
            soften(room, w, WIDE, room, summed + row * dim, dim, peak, sums, row)
        weigh(room, s, v, summed, low, rows, group, sees, count, dim)
    for row in range(rows):
        at = query + row // group * heads + row % group
        weights = total(load(sums, row * LANES))
        lse[at] = peak[row] + np.log(weights)
        whole = splat(np.float32(1.0) / weights)
        for i in range(0, dim, LANES):
            store(out, at * dim + i, mul(whole, load(room, summed + row * dim + i)))
