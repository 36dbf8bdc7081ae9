"""Decode attention over a paged KV cache: one query a sequence, GQA, ragged batch, split KV.

FlashDecoding (Dao et al. 2023): sequences are cut into pieces that run apart, each with an online
softmax (Milakov and Gimelshein, arXiv 1805.02867), and merged by their log-sum-exp.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.compute import paged
from tierlab.kernels.compute.cuda import splitkv
from tierlab.kernels.compute.cuda.launch import element, launch
from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.jit import shared, threads
from tierlab.kernels.compute.paged import TILE
from tierlab.kernels.compute.simd import claim, exp, fma, load, mul, splat, store, total
from tierlab.kernels.compute.softmax import LOW, hide, soften
from tierlab.kernels.compute.tile import clear, product

TASKS_PER_THREAD = 8
"""Threads take them in turn, so that one that other work holds up takes fewer."""
GPU_SLICE, GPU_STAGES = 16, 3
"""As in cuda/decode.cu."""


def reference(
    q: Any, keys: Any, values: Any, table: Any, lengths: Any, scale: float | None = None
) -> tuple[Any, Any]:
    """Attend in float64; see `numba_version` for the operands."""
    factor = paged.default_scale(scale, q.shape[2])
    group = paged.check_heads(q.shape[1], keys.shape[1])
    out, lse = np.zeros(q.shape), np.zeros(q.shape[:2])
    for i, length in enumerate(lengths):
        k = np.repeat(paged.dense(keys, table, i, length, True), group, axis=1)
        v = np.repeat(paged.dense(values, table, i, length, False), group, axis=1)
        scores = np.einsum("hd,thd->ht", q[i].astype(np.float64), k) * factor
        peak = scores.max(axis=1, keepdims=True)
        weights = np.exp(scores - peak)
        out[i] = np.einsum("ht,thd->hd", weights / weights.sum(axis=1, keepdims=True), v)
        lse[i] = peak[:, 0] + np.log(weights.sum(axis=1))
    return out, lse


def numba_version(
    q: Any, keys: Any, values: Any, table: Any, lengths: Any, scale: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Attend one query a sequence to its cached tokens.

    Parameters
    ----------
    q
        float32[batch, heads, dim].
    keys, values
        float32[blocks, kv_heads, dim, block] and float32[blocks, kv_heads, block, dim]; `dim` and
        `block` are multiples of 16.
    table
        int32[batch, width], the blocks of each sequence in order.
    lengths
        int32[batch], cached tokens, 1 or more.
    scale
        Of the scores; absent, 1 / sqrt(dim).

    Returns
    -------
    float32[batch, heads, dim] and the log-sum-exp of the scores, float32[batch, heads], by which
    `merge` joins parts of a context.

    Raises
    ------
    BadInput
        Shapes disagree or a length or block id lies outside.
    """
    paged.check_shapes(q, keys, values, table, lengths)
    blocks, kv_heads, dim, block = keys.shape
    tasks = paged.plan(table, lengths, blocks, block, TASKS_PER_THREAD * threads())
    padded = paged.padded_queries(q, kv_heads, paged.default_scale(scale, dim))
    parts = Parts(tasks, padded, block)
    _attend(
        threads(), padded.reshape(-1), keys.reshape(-1), values.reshape(-1), table, lengths, tasks,
        np.array([*padded.shape[1:], block, threads()]), *parts.arrays,
    )  # fmt: skip
    return parts.joined(q.shape[1])


def cupy_version(
    q: Any, keys: Any, values: Any, table: Any, lengths: Any, scale: float | None = None
) -> tuple[Any, Any]:
    """Attend on the GPU's tensor cores; operands as `numba_version`, on the GPU.

    Floats are float16, or bfloat16 as uint16; the head size is 128 at most. Lengths and block ids
    are not checked, which would wait for the GPU.

    Raises
    ------
    BadInput
        Shapes disagree, or a type or size is not taken.
    """
    import cupy

    paged.check_shapes(q, keys, values, table, lengths)
    splitkv.check(q, LANES)
    kv_heads, dim, block = keys.shape[1:]
    pieces = splitkv.Pieces(q, table, kv_heads, block)
    factor = cupy.float32(paged.default_scale(scale, dim))
    sizes = (factor, pieces.group, kv_heads, block, table.shape[1], pieces.chunk)
    shared = splitkv.WARPS * GPU_STAGES * GPU_SLICE * (dim + dim + 8) * 2
    launch(
        "decode.attend", pieces.grid, 32 * splitkv.WARPS,
        (q, keys, values, table, lengths, *sizes, pieces.parts, pieces.sides), shared,
        ELEMENT=element("q", q), DIM=dim,
    )  # fmt: skip
    return pieces.joined(lengths)


class Parts:
    """What each task leaves of each row: weighted values, peak and weights, as `softmax` says.

    The thread that is done last joins them.

    Parameters
    ----------
    tasks, padded, block
        Tasks of `paged.plan`, queries of `paged.padded_queries`, tokens a block.
    """

    def __init__(self, tasks: Any, padded: Any, block: int) -> None:
        batch, kv_heads, self._group, dim = padded.shape
        rows = kv_heads * self._group
        self._out = np.empty((batch, rows, dim), np.float32)
        self._lse = np.empty((batch, rows), np.float32)
        sizes = (dim, 1, LANES, block)
        left = (np.empty(len(tasks) * rows * size, np.float32) for size in sizes)
        self.arrays = np.zeros(2, np.int64), *left, self._out.reshape(-1), self._lse

    def joined(self, heads: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return outputs and log-sum-exps of [batch, heads], without rows that filled a tile."""
        rows = self._lse.shape[1]
        if rows == heads:
            return self._out, self._lse
        group = heads * self._group // rows
        kept = np.arange(rows).reshape(-1, self._group)[:, :group].ravel()
        return self._out[:, kept], self._lse[:, kept]


def merge(out_a: Any, lse_a: Any, out_b: Any, lse_b: Any) -> tuple[Any, Any]:
    """Join attention over two disjoint parts of a context, any leading shape.

    Parameters
    ----------
    out_a, out_b
        float[..., dim].
    lse_a, lse_b
        float[...]; -inf where a part is empty.
    """
    lse = np.logaddexp(lse_a, lse_b)
    a, b = np.exp(lse_a - lse)[..., None], np.exp(lse_b - lse)[..., None]
    return a * out_a + b * out_b, lse


def begin(task, rows, dim, out, peak, sums):
    """Start a task's rows: nothing seen."""
    clear(out, task * rows * dim, rows * dim)
    clear(sums, task * rows * LANES, rows * LANES)
    for row in range(task * rows, (task + 1) * rows):
        peak[row] = LOW


def finish(turns, slots, tasks, out, peak, sums, joined, lse, dim):
    """Join all tasks, each weighed by its share of the sum of weights, if all others are done."""
    if claim(turns, 1) < slots - 1:
        return
    rows, first = lse.shape[1], 0
    while first < len(tasks):
        sequence, end = tasks[first, 0], first + 1
        while end < len(tasks) and tasks[end, 0] == sequence:
            end += 1
        for row in range(rows):
            lse[sequence, row] = _join_row(
                first * rows + row, end * rows + row, rows, out, peak, sums, joined,
                (sequence * rows + row) * dim, dim,
            )  # fmt: skip
        first = end


def _join_row(first, end, rows, out, peak, sums, joined, place, dim):
    """Join one row, `rows` apart in the tasks of a sequence; return its log-sum-exp."""
    best, weights = peak[first], np.float32(0.0)
    for at in range(first + rows, end, rows):
        best = max(best, peak[at])
    clear(joined, place, dim)
    for at in range(first, end, rows):
        share = exp(splat(np.float32(peak[at] - best)))
        weights += total(mul(share, load(sums, at * LANES)))
        for k in range(0, dim, LANES):
            store(joined, place + k, fma(share, load(out, at * dim + k), load(joined, place + k)))
    whole = splat(np.float32(1.0) / weights)
    for k in range(0, dim, LANES):
        store(joined, place + k, mul(whole, load(joined, place + k)))
    return best + np.log(weights)


@shared
def _attend(
    start, stop, q, keys, values, table, lengths, tasks, sizes, turns, out, peak, sums, scratch,
    joined, lse,
):  # fmt: skip
    for _ in range(start, stop):
        _take(q, keys, values, table, lengths, tasks, sizes, turns, out, peak, sums, scratch)
        finish(turns, sizes[4], tasks, out, peak, sums, joined, lse, sizes[2])


def _take(q, keys, values, table, lengths, tasks, sizes, turns, out, peak, sums, scratch):
    """Meet a block's keys of all heads, then its values: memory is read in the longest runs."""
    heads, rows, dim, block = sizes[0], sizes[1], sizes[2], sizes[3]
    task = claim(turns, 0)
    while task < len(tasks):
        sequence, first, s = tasks[task, 0], task * heads * rows, task * heads * rows * block
        begin(task, heads * rows, dim, out, peak, sums)
        for i in range(tasks[task, 1], tasks[task, 2]):
            count = min(block, lengths[sequence] - i * block)
            cache = table[sequence, i] * heads * dim * block
            clear(scratch, s, heads * rows * block)
            for row in range(0, heads * rows, TILE):
                of, key = (sequence * heads * rows + row) * dim, cache + row // rows * dim * block
                product(q, of, dim, keys, key, block, dim, scratch, s + row * block, block, block)
            for row in range(0, heads * rows, TILE):
                w, o = s + row * block, (first + row) * dim
                for r in range(TILE):
                    hide(scratch, w + r * block, block, count)
                soften(scratch, w, block, out, o, dim, peak, sums, first + row)
                value = cache + row // rows * dim * block
                product(scratch, w, block, values, value, dim, count, out, o, dim, dim)
        task = claim(turns, 0)
