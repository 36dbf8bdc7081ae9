"""All operations: what runs them, inputs of any shape, and the work they do.

``OPERATIONS[name].implementations`` has ``"numpy"``, ``"numba"`` and ``"cupy"``; ``example(shape,
rng)`` makes arguments, ``bytes(shape)`` and ``flops(shape)`` count. Parameters that a shape leaves
out have the operation's own small odd values. `on_gpu` moves arguments to a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from tierlab.kernels.compute import (
    blocks,
    decode,
    decode_codes,
    examples,
    gather,
    gemm,
    hadamard,
    lowrank,
    prefill,
    quantise,
    rmsnorm,
    rotary,
    swiglu,
    work,
)
from tierlab.kernels.compute.operation import Count, Example, Operation

KINDS = {"numpy": "reference", "numba": "numba_version", "cupy": "cupy_version"}
"""Which function of a module is which implementation."""

CACHE = {"batch": 2, "context": 333, "heads": 9, "kv_heads": 3, "dim": 64, "block": 64}
"""What the shapes of attention share."""


def on_gpu(arguments: tuple[Any, ...], dtype: str = "float16") -> tuple[Any, ...]:
    """Return arguments of `Operation.example` as CuPy arrays, float32 ones as `dtype`.

    Parameters
    ----------
    dtype
        ``"float16"``, or ``"float32"``, which attention does not take. Scales and lows of codes
        stay float32.
    """
    import cupy

    def moved(value: Any) -> Any:
        if isinstance(value, quantise.Codes):
            codes, scale, low = (cupy.asarray(a) for a in (value.codes, value.scale, value.low))
            return quantise.Codes(codes, scale, low, value.bits, value.group)
        if not hasattr(value, "dtype"):
            return value
        array = cupy.asarray(value)
        return array.astype(dtype) if array.dtype == cupy.float32 else array

    return tuple(moved(value) for value in arguments)


def _implementations(module: ModuleType, prefix: str = "") -> dict[str, Callable[..., Any]]:
    return {kind: getattr(module, prefix + name) for kind, name in KINDS.items()}


def _operation(
    name: str, module: ModuleType, make: Example, work: tuple[Count, Count], prefix: str = ""
) -> Callable[..., Operation]:
    """Return what takes the operation's own shape."""
    kinds = _implementations(module, prefix)
    return lambda **shape: Operation(name, kinds, shape, make, *work)


_ALL = (
    _operation("gemm", gemm, examples.gemm, (work.gemm_bytes, work.gemm_flops))(m=37, k=129, n=67),
    _operation("rotary", rotary, examples.rotary, (work.rotary_bytes, work.rotary_flops))(
        tokens=7, heads=3, dim=64
    ),
    _operation("rmsnorm", rmsnorm, examples.rmsnorm, (work.rmsnorm_bytes, work.per_value(4)))(
        rows=5, n=577
    ),
    _operation("swiglu", swiglu, examples.swiglu, (work.streams(3), work.per_value(4)))(
        rows=3, n=577
    ),
    _operation("prefill", prefill, examples.prefill, (work.prefill_bytes, work.prefill_flops))(
        **CACHE, queries=67
    ),
    _operation("decode", decode, examples.decode, (work.decode_bytes, work.decode_flops))(**CACHE),
    *(
        _operation(
            f"decode_int{bits}",
            decode_codes,
            examples.decode_codes(bits),
            (work.codes_bytes(bits), work.decode_flops),
        )(**CACHE, group=32)
        for bits in quantise.BITS
    ),
    _operation("quantise", quantise, examples.quantised, (work.quantise_bytes, work.per_value(2)))(
        rows=7, n=192, bits=4, group=32
    ),
    _operation(
        "dequantise",
        quantise,
        examples.dequantised,
        (work.quantise_bytes, work.per_value(2)),
        "dequantise_",
    )(rows=7, n=192, bits=4, group=32),
    _operation("hadamard", hadamard, examples.hadamard, (work.streams(2), work.hadamard_flops))(
        rows=5, n=128
    ),
    _operation(
        "representatives",
        blocks,
        examples.representatives,
        (work.representatives_bytes, work.representatives_flops),
        "representatives_",
    )(blocks=11, kv_heads=3, dim=64, block=17),
    _operation(
        "scores", blocks, examples.scores, (work.scores_bytes, work.scores_flops), "scores_"
    )(batch=3, heads=9, kv_heads=3, dim=64, width=37),
    _operation("top", blocks, examples.top, (work.top_bytes, work.none), "top_")(
        rows=5, width=41, k=7
    ),
    _operation("gather", gather, examples.gather, (work.gather_bytes, work.none))(
        blocks=9, chosen=5, block_bytes=720
    ),
    _operation("scatter", gather, examples.scatter, (work.gather_bytes, work.none), "scatter_")(
        blocks=9, chosen=5, block_bytes=720
    ),
    _operation("lowrank", lowrank, examples.lowrank, (work.lowrank_bytes, work.lowrank_flops))(
        context=101, rank=13, kv_heads=3, dim=64, chosen=17
    ),
)

OPERATIONS = {operation.name: operation for operation in _ALL}
