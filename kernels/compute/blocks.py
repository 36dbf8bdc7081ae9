"""Choose the KV blocks that a step reads: a representative a block, its score, the best k.

A representative is the mean key (as Landmark attention's and InfLLM's simplest form, arXiv
2402.04617); a block's score for a KV head is the largest over its query heads.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute import paged
from tierlab.kernels.compute.cuda.launch import cover, element, launch
from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.jit import shared
from tierlab.kernels.compute.simd import fma, load, splat, total

LANES_OF_ROW = 8
"""GPU threads that average one row."""


def representatives_reference(keys: Any, filled: Any) -> Any:
    """Average in float64; see `representatives_numba_version`."""
    block = keys.shape[3]
    inside = np.arange(block) < filled[:, None]
    wide = np.where(inside[:, None, None, :], keys.astype(np.float64), 0.0)
    return wide.sum(axis=3) / np.maximum(filled, 1)[:, None, None]


def representatives_numba_version(keys: Any, filled: Any) -> NDArray[np.float32]:
    """Average the keys of each block.

    Parameters
    ----------
    keys
        float32[blocks, kv_heads, dim, block].
    filled
        int32[blocks], tokens in each block; an empty block has representative 0.

    Returns
    -------
    float32[blocks, kv_heads, dim].
    """
    out = np.empty(keys.shape[:3], np.float32)
    _average(
        len(keys), keys.reshape(len(keys), -1, keys.shape[3]), filled, out.reshape(len(keys), -1)
    )
    return out


def representatives_cupy_version(keys: Any, filled: Any) -> Any:
    """Average on the GPU."""
    import cupy

    out = cupy.empty(keys.shape[:3], keys.dtype)
    rows, block = keys.shape[1] * keys.shape[2], keys.shape[3]
    operands = (keys, filled.astype(cupy.int32), rows, block, cupy.int64(out.size), out)
    grid = (cover(out.size, 256 // LANES_OF_ROW),)
    launch("blocks.representatives", grid, 256, operands, ELEMENT=element("keys", keys))
    return out


def scores_reference(q: Any, means: Any, table: Any, counts: Any) -> Any:
    """Score in float64; see `scores_numba_version`."""
    group = paged.check_heads(q.shape[1], means.shape[1])
    batch, _, dim = q.shape
    wide = q.astype(np.float64).reshape(batch, -1, group, dim)
    scores = np.einsum("bhgd,bwhd->bhgw", wide, means[table].astype(np.float64)).max(axis=2)
    scores[
        np.broadcast_to(np.arange(table.shape[1]) >= counts[:, None, None], scores.shape)
    ] = -np.inf
    return scores


def scores_numba_version(q: Any, means: Any, table: Any, counts: Any) -> NDArray[np.float32]:
    """Score each sequence's blocks by their representatives.

    Parameters
    ----------
    q
        float32[batch, heads, dim]; `dim` is a multiple of 16.
    means
        float32[blocks, kv_heads, dim].
    table
        int32[batch, width], every entry a block id.
    counts
        int32[batch], blocks in use; the others score -inf.

    Returns
    -------
    float32[batch, kv_heads, width].

    Raises
    ------
    BadInput
        `dim` is no multiple of 16, or heads are not grouped evenly.
    """
    group = paged.check_heads(q.shape[1], means.shape[1])
    if q.shape[2] % LANES:
        raise BadInput("q", f"head size {q.shape[2]}", f"a multiple of {LANES}")
    out = np.full((len(q), means.shape[1], table.shape[1]), -np.inf, np.float32)
    _score(table.size, np.ascontiguousarray(q).reshape(-1), means.reshape(-1), table, counts, group,
           q.shape[2], out)  # fmt: skip
    return out


def scores_cupy_version(q: Any, means: Any, table: Any, counts: Any) -> Any:
    """Score on the GPU, one warp a block and KV head."""
    import cupy

    group = paged.check_heads(q.shape[1], means.shape[1])
    batch, kv_heads, width = len(q), means.shape[1], table.shape[1]
    out = cupy.empty((batch, kv_heads, width), cupy.float32)
    operands = (q, means, table.astype(cupy.int32), counts.astype(cupy.int32))
    grid = (cover(width, 8), kv_heads, batch)
    sizes = (kv_heads, group, q.shape[2], width)
    launch("blocks.scores", grid, 256, (*operands, *sizes, out), ELEMENT=element("q", q))
    return out


def top_reference(scores: Any, k: int) -> Any:
    """Return int32[..., k], the best blocks in ascending order; of equals, the earlier."""
    _check_k(scores, k)
    best = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    return np.sort(best, axis=-1).astype(np.int32)


def top_numba_version(scores: Any, k: int) -> NDArray[np.int32]:
    """Return the `k` best of float32[..., width] as int32[..., k] in ascending order.

    Of equal scores the earlier block is taken. -inf is a score.

    Raises
    ------
    BadInput
        There are fewer than `k` blocks.
    """
    _check_k(scores, k)
    rows = np.ascontiguousarray(scores, np.float32).reshape(-1, scores.shape[-1])
    out = np.empty((len(rows), k), np.int32)
    _top(len(rows), rows, out, np.empty((len(rows), max(k, 1)), np.float32))
    out.sort(axis=1)
    return out.reshape(*scores.shape[:-1], k)


def top_cupy_version(scores: Any, k: int) -> Any:
    """Choose on the GPU by CuPy's sort, which is stable."""
    import cupy

    _check_k(scores, k)
    best = cupy.argsort(-scores, axis=-1)[..., :k]
    return cupy.sort(best, axis=-1).astype(cupy.int32)


def _check_k(scores: Any, k: int) -> None:
    if not 0 <= k <= scores.shape[-1]:
        raise BadInput("k", f"{k} of {scores.shape[-1]} blocks", f"0 to {scores.shape[-1]}")


@shared
def _average(start, stop, keys, filled, out):
    for i in range(start, stop):
        for row in range(keys.shape[1]):
            summed = np.float32(0.0)
            for token in range(filled[i]):
                summed += keys[i, row, token]
            out[i, row] = summed / np.float32(max(filled[i], 1))


@shared
def _score(start, stop, q, means, table, counts, group, dim, out):
    kv_heads = out.shape[1]
    for turn in range(start, stop):
        sequence, place = turn // table.shape[1], turn % table.shape[1]
        if place < counts[sequence]:
            for head in range(kv_heads):
                mean = (table[sequence, place] * kv_heads + head) * dim
                best = np.float32(-np.inf)
                for row in range(group):
                    of = ((sequence * kv_heads + head) * group + row) * dim
                    dot = splat(np.float32(0.0))
                    for i in range(0, dim, LANES):
                        dot = fma(load(q, of + i), load(means, mean + i), dot)
                    best = max(best, total(dot))
                out[sequence, head, place] = best


@shared
def _top(start, stop, scores, out, heaps):
    """Keep the best k in a heap whose root is the next to go: the lowest, of equals the latest."""
    k = out.shape[1]
    for row in range(start, stop):
        heap, where = heaps[row], out[row]
        for i in range(scores.shape[1] if k > 0 else 0):
            score = scores[row, i]
            if i < k:
                _up(heap, where, i, score, i)
            elif score > heap[0]:
                _down(heap, where, k, score, i)


def _up(heap, where, at, score, i):
    while at > 0:
        parent = (at - 1) // 2
        if _before(heap[parent], where[parent], score, i):
            break
        heap[at], where[at] = heap[parent], where[parent]
        at = parent
    heap[at], where[at] = score, i


def _down(heap, where, k, score, i):
    at = 0
    while 2 * at + 1 < k:
        child = 2 * at + 1
        if child + 1 < k and _before(heap[child + 1], where[child + 1], heap[child], where[child]):
            child += 1
        if _before(score, i, heap[child], where[child]):
            break
        heap[at], where[at] = heap[child], where[child]
        at = child
    heap[at], where[at] = score, i


def _before(score_a, a, score_b, b):
    """Return whether a goes before b."""
    return score_a < score_b or (score_a == score_b and a > b)
