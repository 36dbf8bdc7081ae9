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
from tierlab.kernels.compute.jit import compiled, shared, threads
from tierlab.kernels.compute.paged import TILE
from tierlab.kernels.compute.simd import fma, load, mul, splat, store, total
from tierlab.kernels.compute.softmax import LOW, hide, soften
from tierlab.kernels.compute.tile import clear, product

TASKS_PER_THREAD = 4
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
    paged.check_cache(q, keys, values, table, lengths)
    padded = paged.padded_queries(q, keys.shape[1], paged.default_scale(scale, q.shape[2]))
    tasks = paged.split(lengths, keys.shape[3], TASKS_PER_THREAD * threads())
    parts = Parts(tasks, padded, keys.shape[3])
    _attend(
        len(tasks), padded.reshape(-1), keys.reshape(-1), values.reshape(-1), table, lengths, tasks,
        np.array([*padded.shape[1:], keys.shape[3]]), *parts.arrays,
    )  # fmt: skip
    return parts.merged(q.shape)


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

    Parameters
    ----------
    tasks, padded, block
        Tasks of `paged.split`, queries of `paged.padded_queries`, tokens a block.
    """

    def __init__(self, tasks: Any, padded: Any, block: int) -> None:
        rows, dim = padded.shape[1] * padded.shape[2], padded.shape[3]
        self._tasks, self._rows, self._group = tasks, rows, padded.shape[2]
        self._out = np.zeros(len(tasks) * rows * dim, np.float32)
        self._peak = np.full(len(tasks) * rows, LOW, np.float32)
        self._sums = np.zeros(len(tasks) * rows * LANES, np.float32)
        scratch = np.empty(len(tasks) * TILE * block, np.float32)
        self.arrays = self._out, self._peak, self._sums, scratch

    def merged(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Join the tasks of each sequence into outputs and log-sum-exps of [batch, heads]."""
        batch, heads, dim = shape
        joined = np.zeros((batch, self._rows, dim), np.float32)
        lse = np.full((batch, self._rows), LOW, np.float32)
        weights = np.zeros_like(lse)
        parts = self._out, self._peak, self._sums
        _join(self._tasks, *parts, joined.reshape(-1), lse, weights, dim)
        if self._rows == heads:
            return joined, lse
        kept = np.arange(self._rows).reshape(-1, self._group)[
            :, : heads * self._group // self._rows
        ]
        return joined[:, kept.ravel()], lse[:, kept.ravel()]


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


@compiled
def _join(tasks, out, peak, sums, joined, lse, weights, dim):
    """Weigh each task by its share of the sum of weights; `lse` first holds the largest peak."""
    rows = lse.shape[1]
    for task in range(len(tasks)):
        for row in range(rows):
            lse[tasks[task, 0], row] = max(lse[tasks[task, 0], row], peak[task * rows + row])
    for task in range(len(tasks)):
        sequence = tasks[task, 0]
        for row in range(rows):
            at = task * rows + row
            share = np.exp(peak[at] - lse[sequence, row])
            weights[sequence, row] += share * total(load(sums, at * LANES))
            for k in range(0, dim, LANES):
                place = (sequence * rows + row) * dim + k
                part = load(out, at * dim + k)
                store(joined, place, fma(splat(share), part, load(joined, place)))
    for sequence in range(len(lse)):
        for row in range(rows):
            whole = splat(np.float32(1.0) / weights[sequence, row])
            lse[sequence, row] += np.log(weights[sequence, row])
            for k in range(0, dim, LANES):
                place = (sequence * rows + row) * dim + k
                store(joined, place, mul(whole, load(joined, place)))


@shared
def _attend(start, stop, q, keys, values, table, lengths, tasks, sizes, out, peak, sums, scratch):
    heads, rows, dim, block = sizes[0], sizes[1], sizes[2], sizes[3]
    for task in range(start, stop):
        sequence = tasks[task, 0]
        for i in range(tasks[task, 1], tasks[task, 2]):
            count = min(block, lengths[sequence] - i * block)
            for head in range(heads):
                cache = (table[sequence, i] * heads + head) * dim * block
                for row in range(0, rows, TILE):
                    _tile(
                        q, ((sequence * heads + head) * rows + row) * dim, keys, values, cache,
                        count, dim, block, out, peak, sums,
                        (task * heads + head) * rows + row, scratch, task * TILE * block,
                    )  # fmt: skip


def _tile(q, of, keys, values, cache, count, dim, block, out, peak, sums, at, scratch, s):
    """Add one block to four rows."""
    clear(scratch, s, TILE * block)
    product(q, of, dim, keys, cache, block, dim, scratch, s, block, block)
    for row in range(TILE):
        hide(scratch, s + row * block, block, count)
    soften(scratch, s, block, out, at * dim, dim, peak, sums, at)
    product(scratch, s, block, values, cache, dim, count, out, at * dim, dim, dim)
