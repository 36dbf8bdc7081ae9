"""Decode attention over a paged cache in KIVI's form (arXiv 2402.02750), dequantised in registers.

Keys are quantised per channel over groups of tokens, values per token over groups of channels.
Scales are folded into the queries and into the weights, as `codetile` says.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute import decode, paged
from tierlab.kernels.compute.codetile import PAIR, by32, fold, unit
from tierlab.kernels.compute.cuda import splitkv
from tierlab.kernels.compute.cuda.launch import element, launch
from tierlab.kernels.compute.decode import begin, finish
from tierlab.kernels.compute.intrinsics import LANES
from tierlab.kernels.compute.jit import shared, threads
from tierlab.kernels.compute.paged import TILE
from tierlab.kernels.compute.quantise import Codes, dequantise_reference
from tierlab.kernels.compute.simd import add, claim, load, splat
from tierlab.kernels.compute.softmax import hide, soften

GPU_SLICE, GPU_STAGES = 64, 2
"""As in cuda/decode_codes.cu."""


def reference(
    q: Any, keys: Codes, values: Codes, table: Any, lengths: Any, scale: float | None = None
) -> tuple[Any, Any]:
    """Dequantise everything, then attend in float64; see `numba_version` for the operands."""
    full = dequantise_reference(keys), dequantise_reference(values)
    return decode.reference(q, *full, table, lengths, scale)


def check(keys: Codes, values: Codes) -> None:
    """Refuse caches of two kinds, or groups that a pair of vectors straddles."""
    if (keys.bits, keys.group) != (values.bits, values.group) or keys.group % PAIR:
        kinds = ", ".join(f"{c.bits} bits in groups of {c.group}" for c in (keys, values))
        raise BadInput("keys", kinds, f"one kind, its groups a multiple of {PAIR}")


def numba_version(
    q: Any, keys: Codes, values: Codes, table: Any, lengths: Any, scale: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Attend one query a sequence to its quantised tokens; operands as `decode.numba_version`.

    Parameters
    ----------
    keys
        Codes of logical shape [blocks, kv_heads, dim, block], groups along the block.
    values
        Codes of logical shape [blocks, kv_heads, block, dim], groups along the head. Scales and
        lows of places that hold no token must be finite.

    Raises
    ------
    BadInput
        As `decode.numba_version`; keys and values are quantised differently, or in groups that
        are no multiple of 32.
    """
    check(keys, values)
    paged.check_shapes(q, keys, values, table, lengths, PAIR)
    blocks, kv_heads, dim, block = keys.shape
    tasks = paged.plan(table, lengths, blocks, block, decode.TASKS_PER_THREAD * threads())
    padded = paged.padded_queries(q, kv_heads, paged.default_scale(scale, dim))
    parts = decode.Parts(tasks, padded, block)
    own = np.empty((len(tasks), TILE, max(dim, block)), np.float32)
    sizes = np.array([*padded.shape[1:], block, threads(), keys.bits, keys.group])
    _attend(
        threads(), padded.reshape(-1),
        *(side.reshape(-1) for c in (keys, values) for side in _sides(c)),
        table, lengths, tasks, sizes, own.reshape(-1), *parts.arrays,
    )  # fmt: skip
    return parts.joined(q.shape[1])


def cupy_version(
    q: Any, keys: Codes, values: Codes, table: Any, lengths: Any, scale: float | None = None
) -> tuple[Any, Any]:
    """Attend on the GPU's tensor cores; operands as `numba_version`, on the GPU.

    Queries are float16, or bfloat16 as uint16; the head size is 64 or 128. Lengths and block ids
    are not checked, which would wait for the GPU.

    Raises
    ------
    BadInput
        Shapes disagree, or a type or size is not taken.
    """
    import cupy

    check(keys, values)
    paged.check_shapes(q, keys, values, table, lengths, PAIR)
    splitkv.check(q, 64)
    kv_heads, dim, block = keys.shape[1:]
    pieces = splitkv.Pieces(q, table, kv_heads, block)
    factor = cupy.float32(paged.default_scale(scale, dim))
    sizes = (factor, pieces.group, kv_heads, block, keys.group, table.shape[1], pieces.chunk)
    operands = (q, *_sides(keys), *_sides(values), table, lengths, *sizes)
    launch(
        "decode_codes.attend", pieces.grid, 32 * splitkv.WARPS,
        (*operands, pieces.parts, pieces.sides),
        splitkv.WARPS * GPU_STAGES * _stage_bytes(dim, keys.bits),
        ELEMENT=element("q", q), DIM=dim, BITS=keys.bits,
    )  # fmt: skip
    return pieces.joined(lengths)


def _stage_bytes(dim: int, bits: int) -> int:
    """Return what a warp holds of one slice; see cuda/decode_codes.cu."""
    row = dim * bits // 8
    sides = 2 * (2 * dim + dim // 32 * GPU_SLICE) * 4
    return dim * GPU_SLICE * bits // 8 + GPU_SLICE * (96 if row == 64 else row) + sides


def _sides(codes: Codes) -> tuple[Any, Any, Any]:
    return codes.codes, codes.scale, codes.low


@shared
def _attend(
    start, stop, q, keys, k_scale, k_low, values, v_scale, v_low, table, lengths, tasks, sizes,
    own, turns, out, peak, sums, scratch, joined, lse,
):  # fmt: skip
    for _ in range(start, stop):
        _take(
            q, keys, k_scale, k_low, values, v_scale, v_low, table, lengths, tasks, sizes, own,
            turns, out, peak, sums, scratch,
        )  # fmt: skip
        finish(turns, sizes[4], tasks, out, peak, sums, joined, lse, sizes[2])


def _take(
    q, keys, k_scale, k_low, values, v_scale, v_low, table, lengths, tasks, sizes, own, turns, out,
    peak, sums, scratch,
):  # fmt: skip
    """Run tasks that no other thread has taken."""
    heads, rows, dim, block = sizes[0], sizes[1], sizes[2], sizes[3]
    bits, group = sizes[5], sizes[6]
    room = max(dim, block) * TILE
    task = claim(turns, 0)
    while task < len(tasks):
        begin(task, heads * rows, dim, out, peak, sums)
        sequence, last = tasks[task, 0], tasks[task, 2] - 1
        s, w = task * heads * rows * block, task * room
        for i in range(tasks[task, 1], last + 1):
            count = min(block, lengths[sequence] - i * block)
            for head in range(heads):
                page = table[sequence, i] * heads + head
                code, side = page * dim * block * bits // 8, page * dim * block // group
                soon = page + 1 if head + 1 < heads else table[sequence, min(i + 1, last)] * heads
                then = (soon - page) * dim * block
                for row in range(0, rows, TILE):
                    at = (task * heads + head) * rows + row
                    of = ((sequence * heads + head) * rows + row) * dim
                    _scores(
                        q, of, keys, code, k_scale, k_low, side, dim, block, bits, group, own, w,
                        scratch, s, then,
                    )  # fmt: skip
                    for r in range(TILE):
                        hide(scratch, s + r * block, block, count)
                    soften(scratch, s, block, out, at * dim, dim, peak, sums, at)
                    _weigh(
                        scratch, s, values, code, v_scale, v_low, side, dim, block, count, bits,
                        group, own, w, out, at * dim, then,
                    )  # fmt: skip
        task = claim(turns, 0)


def _scores(
    q, of, keys, code, scale, low, side, dim, block, bits, group, own, w, scores, s,
    then,
):  # fmt: skip
    """Scores of four rows against all tokens of a block, 32 tokens at a time."""
    row_bytes = block * bits // 8
    for start in range(0, block, group):
        at = side + start // group * dim
        a, b, c, d = fold(q, of, dim, scale, low, at, dim, bits, own, w, then // group)
        a, b, c, d = splat(a), splat(b), splat(c), splat(d)
        for token in range(start, start + group, PAIR):
            first, left = unit(token, bits)
            by32(
                own, w, dim, keys, code + first, row_bytes, then * bits // 8, dim, left, bits,
                scores, s + token, block, a, b, c, d, a, b, c, d,
            )  # fmt: skip


def _weigh(
    weights, s, values, code, scale, low, side, dim, block, count, bits, group, own, w, out, o,
    then,
):  # fmt: skip
    """Add the weighted values of a block to four rows, 32 channels at a time."""
    for start in range(0, dim, group):
        at = side + start // group * block
        a, b, c, d = fold(weights, s, block, scale, low, at, block, bits, own, w, then // group)
        a, b, c, d = splat(a), splat(b), splat(c), splat(d)
        for k in range(start, start + group, PAIR):
            first, left = unit(k, bits)
            p = o + k
            by32(
                own, w, block, values, code + first, dim * bits // 8, then * bits // 8, count, left,
                bits, out, p, dim,
                add(a, load(out, p)), add(b, load(out, p + dim)), add(c, load(out, p + 2 * dim)),
                add(d, load(out, p + 3 * dim)), add(a, load(out, p + LANES)),
                add(b, load(out, p + dim + LANES)), add(c, load(out, p + 2 * dim + LANES)),
                add(d, load(out, p + 3 * dim + LANES)),
            )  # fmt: skip
