"""How fast the kernels are on this processor, beside its memory and its BLAS in the same run.

python benchmarks/bench_kernels.py [--seconds S]

Contenders are called in turn, so that whatever else the machine does meets them alike, each time on
the next of several sets of arguments of 256 MiB in all, so that nothing is still in a processor's
cache. Memory is read by as many threads, as many bytes a call as attention reads. All of it lies on
boundaries of `BOUNDARY`, as an engine's pool of blocks does: what NumPy allocates by itself starts
16 bytes into a page, so that every vector straddles two lines, and has small pages at its ends.
Before each call of the second table is a pause: BLAS's threads spin on for some 50 ms after a
product and would take a processor from whoever comes next. Printed are medians and, in brackets,
the best calls: on a machine that others use, only in the best calls has a contender all processors.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

import click
import numpy as np

from tierlab.kernels.compute import examples
from tierlab.kernels.compute.jit import shared, threads
from tierlab.kernels.compute.quantise import Codes
from tierlab.kernels.compute.quantise import numba_version as quantise
from tierlab.kernels.compute.registry import OPERATIONS
from tierlab.kernels.compute.simd import add, load, splat, total

ALL_BYTES = 256 * 2**20
BOUNDARY = 2 * 2**20
"""Of a huge page."""
PAUSE_S = 0.15
LLAMA = {"heads": 32, "kv_heads": 8, "dim": 128, "block": 64}
"""Heads of Llama 3.1 8B."""
DECODE = [(1, 4096), (4, 4096), (1, 16384), (1, 32768), (1, 131072)]
PREFILL = [(1024, 1024), (512, 4608), (2048, 2048)]
"""Queries and context."""


@shared
def read(start, stop, values, sums):
    """Add up floats, one piece a thread: what memory can give to loads and nothing else."""
    n = len(values) // len(sums)
    for piece in range(start, stop):
        a = b = c = d = splat(np.float32(0.0))
        for i in range(piece * n, (piece + 1) * n - 63, 64):
            a, b = add(a, load(values, i)), add(b, load(values, i + 16))
            c, d = add(c, load(values, i + 32)), add(d, load(values, i + 48))
        sums[piece] = total(add(add(a, b), add(c, d)))


Contender = Callable[[int], object]
"""Called with its turn."""


def race(
    contenders: list[Contender], seconds: float, pause_s: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the median and best seconds of each, called in turn after one turn unmeasured."""
    times: list[list[float]] = []
    end = float("inf")
    while len(times) < 5 or time.perf_counter() < end:
        times.append([timed(run, len(times), pause_s) for run in contenders])
        end = min(end, time.perf_counter() + seconds)
    return np.median(times[1:], axis=0), np.min(times[1:], axis=0)


def timed(run: Contender, turn: int, pause_s: float) -> float:
    """Return the seconds of one call, after a pause."""
    if pause_s:
        time.sleep(pause_s)
    start = time.perf_counter()
    run(turn)
    return time.perf_counter() - start


def pooled(x: np.ndarray) -> np.ndarray:
    """Return a copy that starts on a boundary."""
    room = np.empty(x.nbytes + BOUNDARY, np.uint8)
    at = -room.__array_interface__["data"][0] % BOUNDARY
    copy = room[at : at + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


def coded(x: np.ndarray, bits: int) -> Codes:
    """Return codes in groups of 64, on boundaries."""
    made = quantise(x, bits, 64)
    return dataclasses.replace(
        made, codes=pooled(made.codes), scale=pooled(made.scale), low=pooled(made.low)
    )


def rotating(run: Callable[..., object], sets: Sequence[tuple[object, ...]]) -> Contender:
    """Return what runs on one set of arguments after another."""
    return lambda turn: run(*sets[turn % len(sets)])


def both(values: Sequence[float], form: str) -> str:
    """Return the figure of the medians, and that of the best in brackets."""
    return f"{values[0]:{form}} ({values[1]:{form}})"


def decode_row(batch: int, context: int, seconds: float) -> str:
    """Time one context: memory, float32, int4 and int2."""
    rng = np.random.default_rng(1)
    shape = {"batch": batch, "context": context, **LLAMA}
    need = OPERATIONS["decode"].bytes(shape)
    made = (examples.decode(shape, rng) for _ in range(-(-ALL_BYTES // need)))
    sets = [(q, pooled(k), pooled(v), *rest) for q, k, v, *rest in made]
    memory = [pooled(np.ones(need // 4, np.float32)) for _ in sets]
    sums = np.zeros(threads(), np.float32)
    contenders = [
        rotating(read, [(threads(), piece, sums) for piece in memory]),
        rotating(OPERATIONS["decode"].implementations["numba"], sets),
    ]
    for bits in (4, 2):
        codes = [(q, coded(k, bits), coded(v, bits), *rest) for q, k, v, *rest in sets]
        contenders.append(rotating(OPERATIONS[f"decode_int{bits}"].implementations["numba"], codes))
    found = race(contenders, seconds)
    cells = (
        both([need / t[0] / 1e9 for t in found], ".1f"),
        both([need / t[1] / 1e9 for t in found], ".1f"),
        both([t[0] / t[1] for t in found], ".0%"),
        both([t[1] / t[2] for t in found], ".2f"),
        both([t[1] / t[3] for t in found], ".2f"),
    )
    return f"| {batch} x {context} | {' | '.join(cells)} |"


def prefill_row(queries: int, context: int, seconds: float) -> str:
    """Time one chunk beside a product of as many operations."""
    rng = np.random.default_rng(2)
    shape = {"batch": 1, "queries": queries, "context": context, **LLAMA}
    arguments = OPERATIONS["prefill"].example(shape, rng)
    flops = OPERATIONS["prefill"].flops(shape)
    m = k = 2048
    product = examples.gemm({"m": m, "k": k, "n": round(flops / (2 * m * k))}, rng)
    contenders = [
        rotating(np.matmul, [product]),
        rotating(OPERATIONS["prefill"].implementations["numba"], [arguments]),
        rotating(OPERATIONS["gemm"].implementations["numba"], [product]),
    ]
    found = race(contenders, seconds, PAUSE_S)
    cells = (
        both([flops / t[0] / 1e9 for t in found], ".0f"),
        both([flops / t[1] / 1e9 for t in found], ".0f"),
        both([t[1] / t[0] for t in found], ".2f"),
        both([t[2] / t[0] for t in found], ".2f"),
    )
    return f"| {queries} of {context} | {' | '.join(cells)} |"


@click.command()
@click.option("--seconds", default=4.0, show_default=True, help="For each row of a table.")
def main(seconds: float) -> None:
    """Print two tables: decode beside memory, prefill beside BLAS."""
    print(f"{threads()} threads; medians, the best calls in brackets\n")
    print("| batch x context | read, GB/s | decode, GB/s | of read | int4 faster | int2 faster |")
    print("|---|---|---|---|---|---|")
    for batch, context in DECODE:
        print(decode_row(batch, context, seconds), flush=True)
    print("\n| queries of context | BLAS, GFLOP/s | prefill, GFLOP/s | times BLAS's time | gemm |")
    print("|---|---|---|---|---|")
    for queries, context in PREFILL:
        print(prefill_row(queries, context, seconds), flush=True)


if __name__ == "__main__":
    main()
