"""How fast a sweep is: planned points a minute on one core, and two workers beside one.

python benchmarks/bench_sweep.py [--points N] [--requests N] [--repeats N]

Plans: every point of examples/sweep_plans.toml, swept by this process alone, from the file to the
table, by kernel models and by the roofline. Workers: simulated points of Llama-3.1-8B under Poisson
arrivals, by the roofline, swept by one process and by two, in turns; the workers' start is in it.
The machine's load is printed before and after, as other work takes a share of the same cores.
"""

import os
import tempfile
import time
from pathlib import Path

import click
import polars as pl

from tierlab.simulator.sweep.read import Sweep, make_sweep, read_sweep
from tierlab.simulator.sweep.run import run_sweep

PLANS = Path(__file__).resolve().parent.parent / "examples" / "sweep_plans.toml"


def simulated(points: int, requests: int) -> Sweep:
    """Return a sweep of as many points, each of as many requests."""
    lengths = {"requests": requests, "requests_per_s": 5.0, "output_tokens": 256}
    scenario = {
        "model": "Llama-3.1-8B",
        "hardware": "H200",
        "design": "vllm",
        "workload": {"generator": "poisson", "parameters": lengths},
        "time": {"model": "roofline"},
    }
    vary = {"seed": list(range(points))}
    return make_sweep({"scenario": scenario, "vary": vary}, "benchmark")


def seconds(sweep: Sweep, jobs: int) -> tuple[float, float, float]:
    """Return seconds of a sweep: by the clock, of this process, and of its points' processors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sweep"
        wall, cpu = time.perf_counter(), time.process_time()
        swept = run_sweep(sweep, folder, jobs=jobs)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if swept.failed:
            raise SystemExit(f"{swept.failed} failed: {swept.points['error'].drop_nulls()[0]}")
        return wall, cpu, float(pl.read_parquet(folder / "timing.parquet")["cpu_s"].sum())


def load() -> str:
    return f"load average of the last minute {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"


def plans(repeats: int) -> None:
    for model in ("silicon", "roofline"):
        sweep = read_sweep(PLANS, [f"time.model={model}"])
        walls, cpus, _ = zip(*(seconds(sweep, 1) for _ in range(repeats)), strict=True)
        print(f"plans by {model}: {sweep.size:,} points, best of {repeats}, one process")
        print(f"{min(walls):8.2f} s wall: {sweep.size / min(walls) * 60:10,.0f} points a minute")
        print(f"{min(cpus):8.2f} s cpu:  {sweep.size / min(cpus) * 60:10,.0f} points a minute")


def workers(points: int, requests: int, repeats: int) -> None:
    sweep = simulated(points, requests)
    seconds(simulated(2, requests), 2)
    walls: dict[int, list[float]] = {1: [], 2: []}
    cpus: dict[int, list[float]] = {1: [], 2: []}
    print(f"simulations: {points} points of {requests:,} requests, in turns")
    for _ in range(repeats):
        for jobs in (1, 2):
            wall, _, cpu = seconds(sweep, jobs)
            walls[jobs].append(wall)
            cpus[jobs].append(cpu)
        print(f"one worker {walls[1][-1]:.2f} s, two {walls[2][-1]:.2f} s")
    one, two = min(walls[1]), min(walls[2])
    print(f"best of {repeats}: {one:.2f} s over {two:.2f} s = {one / two:.2f} x")
    one, two = min(cpus[1]), min(cpus[2])
    print(f"processor seconds of the points: {one:.2f} s with one worker, {two:.2f} s with two,")
    print(f"so two free cores would give at most {2 * one / two:.2f} x")


@click.command()
@click.option("--points", default=24, show_default=True)
@click.option("--requests", default=20_000, show_default=True)
@click.option("--repeats", default=3, show_default=True)
def main(points: int, requests: int, repeats: int) -> None:
    """Time sweeps."""
    print(load())
    plans(repeats)
    workers(points, requests, repeats)
    print(load())


if __name__ == "__main__":
    main()
