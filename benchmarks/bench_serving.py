"""What a request costs the serving engine, beside AISimulate where its command is given.

python benchmarks/bench_serving.py [--peer AISIMULATE | --mooncake TRACE | --growing] [--clocks]

Poisson arrivals of 1,024-token prompts and 256-token answers at 5 a second, Qwen3-32B in fp8 on one
H200, by the roofline's times. Prints wall time at 2,000 and 20,000 requests and the marginal cost
between them, each run filling in its own tables of step times, and where AISIMULATE (the path of
its command) is given the ratio of both, measured in turns. The others print the Mooncake
conversation trace on eight replicas, and the cost of a request up to 1,000,000. --clocks prints
what kernel models cost beside the roofline, in turns and in seconds of processor time: of the
Poisson arrivals, or of the trace.
"""

import json
import math
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.run import simulate
from tierlab.simulator.serving.timers import alike

SIZES = (2_000, 20_000)
REPEATS = 3
BEST_OF = {2_000: 40, 20_000: 6}
"""Of a clock's runs: on shared cores short ones wander by a fifth."""
CLOCKS = ("roofline", "silicon")
PEER = """
traffic:
  source: {{type: synthetic, input_tokens: 1024, output_tokens: 256}}
  load: {{type: poisson, requests_per_second: 5}}
  stop: {{requests: {requests}}}
engine:
  mode: aggregated
  model: Qwen/Qwen3-32B-FP8
  hardware: h200_sxm
  backend: vllm
  backend_version: "0.24.0"
  workers:
    aggregated:
      parallelism: {{replicas: 1, tensor: 1}}
"""


def ours(
    requests: int, model: str = "roofline", clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the seconds of one simulation with a time model."""
    lengths = {"input_tokens": 1024, "output_tokens": 256, "requests_per_s": 5.0}
    scenario = validate(
        {
            "model": {"name": "Qwen3-32B", "weights": "fp8"},
            "hardware": "H200",
            "design": "vllm",
            "workload": {"generator": "poisson", "parameters": {"requests": requests, **lengths}},
            "time": {"model": model},
        },
        "benchmark",
    )
    start = clock()
    simulate(scenario)
    return clock() - start


def alone(requests: int) -> float:
    """Return the seconds of one simulation that finds no table filled in."""
    alike.cache_clear()
    return ours(requests)


def peer(command: str, requests: int, folder: Path) -> float:
    """Return the seconds that AISimulate says its simulation took."""
    config = folder / f"{requests}.yaml"
    config.write_text(PEER.format(requests=requests), encoding="utf-8")
    out = folder / f"out{requests}"
    arguments = [command, "predict", "-c", config, "--output-dir", out, "--overwrite"]
    subprocess.run(arguments, check=True, capture_output=True)
    report = json.loads((out / "prediction.json").read_text(encoding="utf-8"))
    return find(report, "wall_time_ms") / 1e3


def find(value: object, key: str) -> float:
    """Return the first number called `key` in nested JSON."""
    if isinstance(value, dict):
        if key in value:
            return float(value[key])
        value = list(value.values())
    found = [find(v, key) for v in value] if isinstance(value, list) else []
    return next((x for x in found if not math.isnan(x)), math.nan)


def show(name: str, seconds: dict[int, float]) -> float:
    """Print a row; return the marginal cost of a request, ms."""
    small, large = (seconds[n] for n in SIZES)
    marginal_ms = (large - small) / (SIZES[1] - SIZES[0]) * 1e3
    print(f"{name:12}{small:10.3f}{large:12.3f}{marginal_ms:22.3f}")
    return marginal_ms


def against_peer(command: str | None) -> None:
    """Print the table of both tools."""
    ours(50)
    times = {"tierlab": {n: float("inf") for n in SIZES}}
    if command:
        times["AISimulate"] = dict(times["tierlab"])
    with tempfile.TemporaryDirectory() as name:
        for _ in range(REPEATS):
            for n in SIZES:
                times["tierlab"][n] = min(times["tierlab"][n], alone(n))
                if command:
                    took = peer(command, n, Path(name))
                    times["AISimulate"][n] = min(times["AISimulate"][n], took)
    print(f"best of {REPEATS}: seconds at {SIZES[0]:,} and {SIZES[1]:,} requests,")
    print("and the marginal cost of a request in ms")
    margins = [show(tool, seconds) for tool, seconds in times.items()]
    if len(margins) > 1:
        print(f"ratio of the marginal costs, tierlab / AISimulate: {margins[0] / margins[1]:.2f}")


def clocks() -> None:
    """Print what a run costs with kernel models, over what it costs with the roofline."""
    first, again = ({(m, n): math.inf for m in CLOCKS for n in SIZES} for _ in range(2))
    for n in SIZES:
        for _ in range(BEST_OF[n]):
            for m in CLOCKS:
                alike.cache_clear()
                for best in (first, again):
                    best[m, n] = min(best[m, n], ours(n, m, time.process_time))
    counts = " and ".join(f"{n:,} requests (best of {BEST_OF[n]})" for n in SIZES)
    print(f"seconds at {counts}, and the marginal cost of a request in ms")
    told = {"that fills its tables in": first, "after one that did, as in a sweep": again}
    for name, best in told.items():
        print(f"a run {name}:")
        for m in CLOCKS:
            show(m, {n: best[m, n] for n in SIZES})
        ratios = [best[CLOCKS[1], n] / best[CLOCKS[0], n] for n in SIZES]
        print(f"silicon / roofline: {', '.join(f'{r:.3f}' for r in ratios)}")


def growing() -> None:
    """Print the cost of a request as runs grow."""
    print("requests, seconds, ms a request, peak memory of this process in MB")
    for n in (10_000, 100_000, 1_000_000):
        took = alone(n)
        print(f"{n:>9,}{took:9.2f}{took / n * 1e3:9.4f}{peak_mb():9.0f}")


def mooncake(
    trace: str, model: str = "roofline", clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the seconds that the Mooncake conversation trace takes on eight replicas."""
    scenario = validate(
        {
            "model": "Llama-3.1-8B",
            "hardware": "8xH200",
            "design": "vllm",
            "workload": {"trace": trace},
            "engine": {"replicas": 8, "block_size": 512},
            "time": {"model": model},
        },
        "benchmark",
    )
    alike.cache_clear()
    start = clock()
    simulate(scenario)
    return clock() - start


def of_mooncake(trace: str, both: bool) -> None:
    """Print it; of both clocks, what the second costs over the first."""
    print(f"Mooncake conversation, 8 replicas, 512-token blocks: best of {1 + REPEATS}")
    if not both:
        took = min(mooncake(trace) for _ in range(1 + REPEATS))
        print(f"{took:.2f} s, peak memory of this process {peak_mb():.0f} MB")
        return
    best = dict.fromkeys(CLOCKS, math.inf)
    for _ in range(1 + REPEATS):
        for m in CLOCKS:
            best[m] = min(best[m], mooncake(trace, m, time.process_time))
    told = ", ".join(f"{m} {took:.3f} s" for m, took in best.items())
    print(f"{told}; silicon / roofline: {best[CLOCKS[1]] / best[CLOCKS[0]]:.3f}")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


@click.command()
@click.option("--peer", "command", help="path of AISimulate's command")
@click.option("--mooncake", "trace", help="path of conversation_trace.jsonl: this alone")
@click.option(
    "--clocks", "both", is_flag=True, help="silicon beside the roofline, of TRACE if given"
)
@click.option("--growing", "grows", is_flag=True, help="up to 1,000,000 requests: this alone")
def main(command: str | None, trace: str | None, grows: bool, both: bool) -> None:
    """Time the serving engine."""
    if trace:
        of_mooncake(trace, both)
    elif both:
        clocks()
    elif grows:
        ours(50)
        growing()
    else:
        against_peer(command)


if __name__ == "__main__":
    main()
