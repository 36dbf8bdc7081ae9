"""Which kernels are timed at which shapes, and the columns under which time models find them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tierlab.kernels.measure.point import Point, Value

ATTENTION = ((9, 3, 64), (32, 8, 128), (8, 8, 64), (16, 2, 128))
"""Heads, KV heads and head size: of SmolLM2-135M, Llama-3.1-8B, without grouping, and 8 to one."""
WEIGHTS = ((576, 576), (1536, 576), (576, 1536), (2048, 2048), (4096, 4096))
"""Outputs and inputs: of SmolLM2-135M's layers, and squares."""
ELEMENTWISE = ("rmsnorm", "rotary", "swiglu", "hadamard")
ALIGNED_BLOCK = 64
GROUP = 32

Shape = Mapping[str, int]


@dataclass(frozen=True)
class Ranges:
    """How far the shapes of one device reach.

    Attributes
    ----------
    dtype
        Of the floats.
    rows
        m of GEMMs.
    batches, contexts
        Of decode attention, as long as the cache has `cache_bytes` or less.
    queries, pasts
        Of prefill attention, as long as it has `work_flops` or less.
    scale
        Factor on the rows of everything else.
    weights, heads
        As `WEIGHTS` and `ATTENTION`.
    coded
        Whether quantised caches have all shapes of decode attention, or those of the first two
        heads with one sequence.
    """

    dtype: str
    rows: tuple[int, ...]
    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    cache_bytes: int
    queries: tuple[int, ...]
    pasts: tuple[int, ...]
    work_flops: float
    scale: int
    weights: tuple[tuple[int, int], ...] = WEIGHTS
    heads: tuple[tuple[int, int, int], ...] = ATTENTION
    coded: bool = False
    others: bool = True


CPU = Ranges(
    "fp32", (1, 4, 16, 64, 128, 256, 512), (1, 4, 16), (512, 2048, 8192, 32768), 2**27,
    (32, 128, 512), (0, 512, 2048), 8e9, 1,
)  # fmt: skip
CPU_QUICK = Ranges(
    "fp32", (1, 16, 128), (1,), (2048, 8192), 2**26, (), (), 0.0, 1,
    ((576, 576), (2048, 2048)), ATTENTION[:2], others=False,
)  # fmt: skip
"""Without prefill attention, whose first compilation takes half of the time there is."""
GPU = Ranges(
    "fp16", (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096), (1, 4, 16, 64, 256),
    (1024, 4096, 16384, 65536, 262144), 2**33, (128, 512, 1024, 2048), (0, 4096, 32768), 2e13, 8,
    ((1024, 4096), (4096, 4096), (6144, 4096), (4096, 14336), (28672, 4096)), ATTENTION[1:],
    coded=True,
)  # fmt: skip
GPU_QUICK = Ranges(
    "fp16", (1, 128, 2048), (1, 16), (4096, 65536), 2**32, (512,), (0, 4096), 2e12, 8,
    ((4096, 4096),), ATTENTION[1:2], coded=True, others=False,
)  # fmt: skip


def points(ranges: Ranges, implementation: str) -> list[Point]:
    """Return every kernel at every shape."""
    made = [*_gemms(ranges), *_decodes(ranges), *_prefills(ranges), *_others(ranges)]
    return [_point(name, shape, columns, ranges, implementation) for name, shape, columns in made]


Found = tuple[str, dict[str, int], dict[str, Value]]


def _gemms(r: Ranges) -> Iterator[Found]:
    for n, k in r.weights:
        for m in r.rows:
            shape = {"m": m, "n": n, "k": k}
            yield "gemm", shape, {"op": "gemm", **shape}


def _decodes(r: Ranges) -> Iterator[Found]:
    for i, (heads, kv_heads, dim) in enumerate(r.heads):
        for batch in r.batches:
            for context in r.contexts:
                if 2 * batch * context * kv_heads * dim * _bytes(r) > r.cache_bytes:
                    continue
                coded = ("decode_int4", "decode_int2") if r.coded or (i < 2 and batch == 1) else ()
                for name in ("decode", *coded):
                    yield name, *_cache(batch, 1, context, (heads, kv_heads, dim), name)


def _prefills(r: Ranges) -> Iterator[Found]:
    for heads in r.heads:
        for queries in r.queries:
            for past in r.pasts:
                flops = 4 * heads[0] * heads[2] * queries * (past + queries / 2)
                if flops <= r.work_flops:
                    yield "prefill", *_cache(1, queries, past + queries, heads, "prefill")


def _cache(
    batch: int, queries: int, context: int, heads: tuple[int, int, int], name: str
) -> tuple[dict[str, int], dict[str, Value]]:
    shape = {
        "batch": batch, "context": context, "heads": heads[0], "kv_heads": heads[1],
        "dim": heads[2], "block": ALIGNED_BLOCK,
    }  # fmt: skip
    columns: dict[str, Value] = {
        "op": "prefill_attention" if name == "prefill" else "decode_attention",
        "batch": batch, "q_len": queries, "kv_len": context, "heads": heads[0],
        "kv_heads": heads[1], "head_dim": heads[2],
    }  # fmt: skip
    if name == "prefill":
        shape["queries"] = queries
    elif name != "decode":
        shape["group"] = GROUP
        columns["kv_dtype"] = name.removeprefix("decode_")
    return shape, columns


def _others(r: Ranges) -> Iterator[Found]:
    if not r.others:
        yield "rmsnorm", {"rows": 256 * r.scale, "n": 4096}, {"op": "elementwise"}
        return
    for i in (1, 8, 64):
        rows = i * r.scale
        for name, shape in _small(rows):
            yield name, shape, {"op": "elementwise" if name in ELEMENTWISE else name}


def _small(rows: int) -> Iterator[tuple[str, dict[str, int]]]:
    yield "rmsnorm", {"rows": 4 * rows, "n": 4096}
    yield "swiglu", {"rows": 4 * rows, "n": 4096}
    yield "rotary", {"tokens": 4 * rows, "heads": 32, "dim": 128}
    yield "hadamard", {"rows": 128 * rows, "n": 128}
    yield "quantise", {"rows": 16 * rows, "n": 1024, "bits": 4, "group": GROUP}
    yield "dequantise", {"rows": 16 * rows, "n": 1024, "bits": 4, "group": GROUP}
    yield "representatives", {"blocks": 4 * rows, "kv_heads": 8, "dim": 128, "block": ALIGNED_BLOCK}
    yield "scores", {"batch": 1, "heads": 32, "kv_heads": 8, "dim": 128, "width": 16 * rows}
    yield "top", {"rows": 8, "width": 64 * rows, "k": 32}
    yield "gather", {"blocks": 32 * rows, "chosen": 8 * rows, "block_bytes": 2**16}
    yield "scatter", {"blocks": 32 * rows, "chosen": 8 * rows, "block_bytes": 2**16}
    low = {"context": 128 * rows, "rank": 160, "kv_heads": 8, "dim": 128}
    yield "lowrank", {**low, "chosen": 16 * rows}


def _bytes(r: Ranges) -> int:
    return 4 if r.dtype == "fp32" else 2


def _point(
    name: str, shape: Shape, columns: Mapping[str, Value], r: Ranges, implementation: str
) -> Point:
    from tierlab.kernels.compute.registry import OPERATIONS

    operation = OPERATIONS[name]
    moved = operation.bytes(shape, _bytes(r))
    told = {
        **columns,
        "dtype": r.dtype,
        "kernel": implementation if name != "gemm" else _library(implementation),
        "operation": name,
        "shape": " ".join(f"{key}={value}" for key, value in shape.items()),
        "flops": operation.flops(shape),
        "load": "idle",
    }
    if "attention" in str(columns["op"]):
        told = {"kv_dtype": r.dtype, **told}
    told["bytes" if columns["op"] not in ("gemm", *_ATTENTION) else "moved_bytes"] = moved
    return Point("kernels", told)


_ATTENTION = ("decode_attention", "prefill_attention")


def _library(implementation: str) -> str:
    return {"numba": "blas", "cupy": "cublas"}.get(implementation, implementation)


def shape_of(point: Point) -> dict[str, int]:
    """Return the shape as the registry of operations takes it."""
    pairs = (text.split("=") for text in str(point.columns["shape"]).split())
    return {key: int(value) for key, value in pairs}
