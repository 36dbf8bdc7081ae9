"""Inputs of kernels made on the GPU: the large ones from a little noise, repeated.

Repeated content lies in memory of its own, so what is read comes from memory all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tierlab.kernels.compute import quantise
from tierlab.kernels.compute.operation import Shape
from tierlab.kernels.compute.registry import OPERATIONS, on_gpu

NOISE = 2**20 + 7
"""Values before they repeat; odd, so that rows differ."""
POOL_BYTES = 2**31
"""Of all keys and values, which is many times what caches hold; tables of more repeat blocks."""

Arguments = tuple[Any, ...]


def make(name: str, shape: Shape) -> Arguments:
    """Return an operation's arguments in float16."""
    if name in MAKERS:
        return MAKERS[name](shape)
    return on_gpu(OPERATIONS[name].example(shape, np.random.default_rng(0)), "float16")


def noise(*shape: int) -> Any:
    """Return float16 of mean 0 and deviation 1 in any amount."""
    import cupy

    few = np.random.default_rng(math.prod(shape)).standard_normal(NOISE, dtype=np.float32)
    base = cupy.asarray(few.astype(np.float16))
    size = math.prod(shape)
    return cupy.tile(base, -(-size // NOISE))[:size].reshape(shape)


def _gemm(s: Shape) -> Arguments:
    return noise(s["m"], s["k"]), noise(s["k"], s["n"])


def _cache(s: Shape) -> Arguments:
    import cupy

    width = -(-s["context"] // s["block"])
    total = s["batch"] * width
    block_bytes = 2 * 2 * s["kv_heads"] * s["dim"] * s["block"]
    pool = min(total, POOL_BYTES // block_bytes)
    keys = noise(pool, s["kv_heads"], s["dim"], s["block"])
    values = noise(pool, s["kv_heads"], s["block"], s["dim"])
    order = np.random.default_rng(0).permutation(total) % pool
    table = cupy.asarray(order.astype(np.int32).reshape(s["batch"], width))
    return keys, values, table, cupy.asarray(np.full(s["batch"], s["context"], np.int32))


def _decode(s: Shape) -> Arguments:
    return noise(s["batch"], s["heads"], s["dim"]), *_cache(s)


def _coded(bits: int) -> Callable[[Shape], Arguments]:
    def make_coded(s: Shape) -> Arguments:
        q, keys, values, *rest = _decode(s)
        coded = (quantise.cupy_version(side, bits, s["group"]) for side in (keys, values))
        return q, *coded, *rest

    return make_coded


def _prefill(s: Shape) -> Arguments:
    import cupy

    keys, values, table, lengths = _cache(s)
    starts = cupy.asarray(np.array([0, s["queries"]], np.int32))
    return noise(s["queries"], s["heads"], s["dim"]), keys, values, table, starts, lengths


MAKERS: Mapping[str, Callable[[Shape], Arguments]] = {
    "gemm": _gemm,
    "decode": _decode,
    "decode_int4": _coded(4),
    "decode_int2": _coded(2),
    "prefill": _prefill,
}
