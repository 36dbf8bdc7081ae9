"""How fast the kernels are on this processor, beside its memory and its BLAS in the same run.

python benchmarks/bench_kernels.py [--rounds N]

Every round times each contender once, in turn, so that whatever else the machine does meets them
alike; a contender reads 256 MiB, from as many caches as that takes, so that nothing it reads is
still in a processor's cache. Of the rounds the median is printed, and the best beside it.
"""

import time
from collections.abc import Callable
from functools import partial

import click
import numpy as np

from tierlab.kernels.compute import examples
from tierlab.kernels.compute.jit import shared, threads
from tierlab.kernels.compute.quantise import numba_version as quantise
from tierlab.kernels.compute.registry import OPERATIONS
from tierlab.kernels.compute.simd import add, load, splat, total

PASS_BYTES = 256 * 2**20
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


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def race(contenders: list[Callable[[], object]], rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the median and best seconds of each, timed in turn after one round unmeasured."""
    for run in contenders:
        run()
    times = np.array([[seconds(run) for run in contenders] for _ in range(rounds)])
    return np.median(times, axis=0), times.min(axis=0)


def all_of(run: Callable[..., object], sets: list[tuple[object, ...]]) -> None:
    """Run on one set of arguments after another."""
    for arguments in sets:
        run(*arguments)


def decode_row(batch: int, context: int, rounds: int) -> str:
    """Time one context: memory, float32, int4 and int2."""
    rng = np.random.default_rng(1)
    shape = {"batch": batch, "context": context, **LLAMA}
    need = OPERATIONS["decode"].bytes(shape)
    sets = [examples.decode(shape, rng) for _ in range(max(1, PASS_BYTES // need))]
    memory = np.ones(PASS_BYTES // 4, np.float32)
    contenders = [
        partial(read, threads(), memory, np.zeros(threads(), np.float32)),
        partial(all_of, OPERATIONS["decode"].implementations["numba"], sets),
    ]
    for bits in (4, 2):
        coded = [
            (q, quantise(k, bits, 64), quantise(v, bits, 64), *rest) for q, k, v, *rest in sets
        ]
        run = OPERATIONS[f"decode_int{bits}"].implementations["numba"]
        contenders.append(partial(all_of, run, coded))
    rates = PASS_BYTES, need * len(sets)
    middle, best = race(contenders, rounds)
    share = [rates[1] / t[1] / (rates[0] / t[0]) for t in (middle, best)]
    faster = [(t[1] / t[2], t[1] / t[3]) for t in (middle, best)]
    return (
        f"| {batch} x {context} | {rates[0] / middle[0] / 1e9:.1f} | {rates[1] / middle[1] / 1e9:.1f} "
        f"| {share[0]:.0%} ({share[1]:.0%}) | {faster[0][0]:.2f} ({faster[1][0]:.2f}) "
        f"| {faster[0][1]:.2f} ({faster[1][1]:.2f}) |"
    )


def prefill_row(queries: int, context: int, rounds: int) -> str:
    """Time one chunk beside a product of as many operations."""
    rng = np.random.default_rng(2)
    shape = {"batch": 1, "queries": queries, "context": context, **LLAMA}
    arguments = OPERATIONS["prefill"].example(shape, rng)
    flops = OPERATIONS["prefill"].flops(shape)
    m = k = 2048
    a, b = examples.gemm({"m": m, "k": k, "n": round(flops / (2 * m * k))}, rng)
    product = OPERATIONS["gemm"].implementations["numba"]
    contenders = [
        partial(np.matmul, a, b),
        partial(OPERATIONS["prefill"].implementations["numba"], *arguments),
        partial(product, a, b),
    ]
    middle, best = race(contenders, rounds)
    gflops = flops / middle / 1e9
    return (
        f"| {queries} of {context} | {gflops[0]:.0f} | {gflops[1]:.0f} "
        f"| {middle[1] / middle[0]:.2f} ({best[1] / best[0]:.2f}) "
        f"| {middle[2] / middle[0]:.2f} ({best[2] / best[0]:.2f}) |"
    )


@click.command()
@click.option("--rounds", default=21, show_default=True, help="Times that each is timed.")
def main(rounds: int) -> None:
    """Print two tables: decode beside memory, prefill beside BLAS."""
    print(f"{threads()} threads; medians of {rounds} rounds, the best of them in brackets\n")
    print("| batch x context | read, GB/s | decode, GB/s | of it | int4, times | int2, times |")
    print("|---|---|---|---|---|---|")
    for batch, context in DECODE:
        print(decode_row(batch, context, rounds), flush=True)
    print(
        "\n| queries of context | BLAS, GFLOP/s | prefill, GFLOP/s | BLAS / prefill | BLAS / gemm |"
    )
    print("|---|---|---|---|---|")
    for queries, context in PREFILL:
        print(prefill_row(queries, context, max(5, rounds // 3)), flush=True)


if __name__ == "__main__":
    main()
