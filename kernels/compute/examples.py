"""Random inputs of every operation, from the parameters of its shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.compute import quantise
from tierlab.kernels.compute.operation import Example, Shape

Arguments = tuple[Any, ...]


def normal(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Return float32 of mean 0 and deviation 1."""
    return rng.standard_normal(shape, dtype=np.float32)


def distinct(rng: np.random.Generator, count: int, among: int) -> NDArray[np.int32]:
    """Return int32[count], all different, in random order."""
    return rng.permutation(among)[:count].astype(np.int32)


def gemm(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return a [m, k] and b [k, n]."""
    return normal(rng, s["m"], s["k"]), normal(rng, s["k"], s["n"])


def rotary(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return x [tokens, heads, dim] and positions up to a million."""
    x = normal(rng, s["tokens"], s["heads"], s["dim"])
    return x, rng.integers(0, 1_000_000, s["tokens"]).astype(np.int32)


def rmsnorm(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return x [rows, n] and weight [n]."""
    return normal(rng, s["rows"], s["n"]), normal(rng, s["n"])


def swiglu(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return gate and up [rows, n]."""
    return normal(rng, s["rows"], s["n"]), normal(rng, s["rows"], s["n"])


def hadamard(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return x [rows, n]."""
    return (normal(rng, s["rows"], s["n"]),)


def cache(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return keys, values, table and lengths of sequences of one length, blocks in random order."""
    width = -(-s["context"] // s["block"])
    total = s["batch"] * width
    keys = normal(rng, total, s["kv_heads"], s["dim"], s["block"])
    values = normal(rng, total, s["kv_heads"], s["block"], s["dim"])
    table = distinct(rng, total, total).reshape(s["batch"], width)
    return keys, values, table, np.full(s["batch"], s["context"], np.int32)


def decode(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return q, keys, values, table, lengths of `decode`."""
    return normal(rng, s["batch"], s["heads"], s["dim"]), *cache(s, rng)


def decode_codes(bits: int) -> Example:
    """Return the maker of q, keys, values, table, lengths of `decode_codes`."""

    def make(s: Shape, rng: np.random.Generator) -> Arguments:
        q, keys, values, *rest = decode(s, rng)
        coded = (quantise.numba_version(side, bits, s["group"]) for side in (keys, values))
        return q, *coded, *rest

    return make


def prefill(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return q, keys, values, table, starts, lengths of `prefill`: chunks of one size."""
    keys, values, table, lengths = cache(s, rng)
    starts = (np.arange(s["batch"] + 1) * s["queries"]).astype(np.int32)
    return normal(rng, int(starts[-1]), s["heads"], s["dim"]), keys, values, table, starts, lengths


def quantised(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return x [rows, n], bits and group of `quantise`."""
    return normal(rng, s["rows"], s["n"]), s["bits"], s["group"]


def dequantised(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return codes of [rows, n]."""
    return (quantise.numba_version(*quantised(s, rng)),)


def representatives(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return keys [blocks, kv_heads, dim, block] and tokens in each block, the last not full."""
    filled = np.full(s["blocks"], s["block"], np.int32)
    filled[-1] = (s["block"] + 1) // 2
    return normal(rng, s["blocks"], s["kv_heads"], s["dim"], s["block"]), filled


def scores(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return q, means, table and counts of `blocks.scores_numba_version`."""
    total = s["batch"] * s["width"]
    table = distinct(rng, total, total).reshape(s["batch"], s["width"])
    means = normal(rng, total, s["kv_heads"], s["dim"])
    counts = np.full(s["batch"], s["width"], np.int32)
    return normal(rng, s["batch"], s["heads"], s["dim"]), means, table, counts


def top(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return scores [rows, width] and k."""
    return normal(rng, s["rows"], s["width"]), s["k"]


def gather(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return a cache [blocks, block_bytes] of bytes and `chosen` distinct ids."""
    content = rng.integers(0, 256, (s["blocks"], s["block_bytes"]), np.uint8)
    return content, distinct(rng, s["chosen"], s["blocks"])


def scatter(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return a cache, ids, and what is to be written."""
    data = rng.integers(0, 256, (s["chosen"], s["block_bytes"]), np.uint8)
    return *gather(s, rng), data


def lowrank(s: Shape, rng: np.random.Generator) -> Arguments:
    """Return left, right, head size and the tokens to rebuild."""
    left = normal(rng, s["context"], s["rank"])
    right = normal(rng, s["rank"], s["kv_heads"] * s["dim"])
    return left, right, s["dim"], distinct(rng, s["chosen"], s["context"])
