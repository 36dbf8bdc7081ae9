"""What a timeline costs: nothing where it is off; where it is on, time, memory and bytes an event.

python benchmarks/bench_timeline.py [--base CHECKOUT] [--turns N]

The run of `bench_serving.py` (Poisson arrivals of 1,024-token prompts and 256-token answers at 5 a
second, Qwen3-32B in fp8 on one H200), by process time without start and compilation. With
`--base`, the same run of another checkout of tierlab, say of before the timeline, in turns with
this one with the timeline off; the ratio is that of the least times of each.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

REQUESTS = 20_000
REPEATS = 5
HERE = Path(__file__).resolve().parents[1]
CHILD = """
import sys, time
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.run import simulate
lengths = {"input_tokens": 1024, "output_tokens": 256, "requests_per_s": 5.0}
def once(requests):
    scenario = validate({
        "model": {"name": "Qwen3-32B", "weights": "fp8"}, "hardware": "H200", "design": "vllm",
        "workload": {"generator": "poisson", "parameters": {"requests": requests, **lengths}},
        "time": {"model": "roofline"},
    }, "benchmark")
    start = time.process_time()
    simulate(scenario)
    return time.process_time() - start
once(2000)
for _ in range(int(sys.argv[1])):
    print(once(int(sys.argv[2])))
"""


def child(checkout: Path) -> list[float]:
    """Return the seconds of some runs of a checkout, in a process of their own."""
    types = str(checkout.resolve() / ".types")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(REPEATS), str(REQUESTS)],
        env=os.environ | {"PYTHONPATH": types},
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(line) for line in done.stdout.split()]


def off(base: Path, turns: int) -> None:
    """Print what a run costs with the timeline off, against another checkout."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(turns):
        theirs += child(base)
        ours += child(HERE)
    print(f"{'process s':24}{'least':>10}{'median':>10}")
    for name, times in (("other checkout", theirs), ("this, timeline off", ours)):
        print(f"{name:24}{min(times):10.4f}{statistics.median(times):10.4f}")
    medians = statistics.median(ours) / statistics.median(theirs)
    print(f"{'ratio':24}{min(ours) / min(theirs):10.4f}{medians:10.4f}")


def on() -> None:
    """Print what the timeline itself costs."""
    from tierlab.simulator.scenario.load import validate
    from tierlab.simulator.serving.run import simulate
    from tierlab.simulator.timeline.timeline import Timeline

    lengths = {"input_tokens": 1024, "output_tokens": 256, "requests_per_s": 5.0}
    data = {
        "model": {"name": "Qwen3-32B", "weights": "fp8"},
        "hardware": "H200",
        "design": "vllm",
        "workload": {"generator": "poisson", "parameters": {"requests": REQUESTS, **lengths}},
        "time": {"model": "roofline"},
    }
    scenario = validate(data, "benchmark")
    simulate(scenario)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{'':12}{'process s':>11}{'events':>12}{'us/event':>10}{'bytes/event':>13}{'more MiB':>10}"
    )
    for suffix in ("json", "json.gz"):
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            with Timeline(Path(folder) / f"t.{suffix}") as timeline:
                timeline.finish(simulate(scenario, watch=timeline))
                timeline.publish()
                events, size = timeline.sink.events, timeline.sink.path.stat().st_size
            seconds = time.process_time() - start
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        row = f"{seconds:11.2f}{events:12,}{seconds / events * 1e6:10.2f}{size / events:13.1f}"
        print(f"{suffix:12}{row}{more:10.1f}")


@click.command(help=__doc__)
@click.option("--base", type=click.Path(path_type=Path, exists=True), default=None)
@click.option("--turns", default=6, show_default=True)
def main(base: Path | None, turns: int) -> None:
    """Print the figures."""
    if base is not None:
        off(base, turns)
    on()


if __name__ == "__main__":
    main()
