"""The measured vLLM run on an RTX 4090 beside its simulation.

python benchmarks/measured_rtx4090.py FOLDER

FOLDER holds requests.jsonl, timeseries.csv and the profile (LLMServingSim, MIT). Prints the tables
of docs/results/measured_rtx4090.md and draws its pictures.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import click
import numpy as np
from ablation_rtx4090 import scenario
from measured_steps import BLOCKS, print_ragged, print_steps
from svg_lines import draw

from tierlab.simulator.comparison.measured import read_measured
from tierlab.simulator.comparison.overtime import (
    again,
    clock_offset,
    preemptions_by_counts,
    with_again,
)
from tierlab.simulator.comparison.served import Served, per_output_token
from tierlab.simulator.comparison.timeline import Timeline, read_timeline, sample
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.build import Parts, build
from tierlab.simulator.serving.run import Run, serve
from tierlab.simulator.workload import load_workload
from tierlab.traces.schema import Trace

SHORT_S = 0.5
WINDOWS = (1, 2, 5, 10)
LATE_S = 2.0
EAGER_SHARES = (0.0, 0.02, 0.04)
"""What the profile's dense kernels, which ran eagerly, might take beyond the compiled ones."""
PLOTS = {
    "running": "requests running",
    "waiting": "requests waiting",
    "again": "requests waiting after a preemption",
    "gen_throughput": "output tokens of each second",
    "kv_cache_pct": "KV cache in use, %",
}


@dataclass
class Simulated:
    """A simulated run as the measured engine would have logged it."""

    run: Run
    parts: Parts

    @cached_property
    def served(self) -> Served:
        """Its requests, from when the engine first saw them."""
        r = self.run.requests
        queued = r.queued_s
        first, last = r.first_token_s, r.last_token_s
        latencies = {
            "ttft_s": first - queued,
            "tpot_s": per_output_token(first, last, r.generated),
            "e2e_s": last - queued,
            "queue_s": r.scheduled_s - r.queued_s,
            "service_s": first - r.scheduled_s,
        }
        tokens = r.input_tokens, r.generated
        return Served("simulated", r.arrival_s, *tokens, latencies, queued, last, queued=True)

    def over(self, times_s: np.ndarray) -> Timeline:
        """Return what it did, sampled at these times."""
        pool, steps = self.parts.pool, self.run.record.columns()
        whole = pool.num_blocks * pool.block_bytes
        return sample("simulated", steps, self.served, times_s, whole)


def verdict(error: float, limit: float) -> str:
    return "yes" if abs(error) <= limit else "**no**"


def row(what: str, measured: float, ours: list[float], limit: float, unit: str) -> None:
    cells = [
        f"{x:,.4g}{unit} | {x / measured - 1:+.1%} | {verdict(x / measured - 1, limit)}"
        for x in ours
    ]
    print(f"| {what} | {measured:,.4g}{unit} | {' | '.join(cells)} | {limit:.0%} |")


def figures(runs: list[Simulated], measured: Served, blocks: int) -> None:
    """Print the figures with their tolerances."""
    print(
        "| figure | measured | simulated | error | met | first launch blocked | error | met | "
        "tolerance |\n|---|---|---|---|---|---|---|---|---|"
    )
    row("KV blocks by the memory formula", BLOCKS, [blocks] * len(runs), 0.0, "")
    wanted = (
        ("prefill service, mean", "service_s", np.mean, 0.05, 1e3, " ms"),
        ("prefill service, median", "service_s", np.median, 0.05, 1e3, " ms"),
        ("TPOT, mean", "tpot_s", np.mean, 0.02, 1e3, " ms"),
        ("E2E latency, mean", "e2e_s", np.mean, 0.02, 1.0, " s"),
        ("TTFT, mean", "ttft_s", np.mean, 0.02, 1.0, " s"),
    )
    for title, key, reduce, limit, unit, name in wanted:
        ours = [float(reduce(run.served.latencies[key])) * unit for run in runs]
        row(title, float(reduce(measured.latencies[key])) * unit, ours, limit, name)
    short = measured.latencies["queue_s"] < SHORT_S
    errors = [early(run.served, measured, short) for run in runs]
    title = f"TTFT of the {short.sum()} that queued under {SHORT_S} s, median error"
    print(f"| {title} | | {' | '.join(f'| {e:.1%} | {verdict(e, 0.1)}' for e in errors)} | 10% |")


def early(ours: Served, measured: Served, chosen: np.ndarray) -> float:
    """Return the median error of TTFT among those chosen."""
    ratio = ours.latencies["ttft_s"][chosen] / measured.latencies["ttft_s"][chosen]
    return float(np.median(np.abs(ratio - 1.0)))


def changed(made: Scenario, first_launch_s: float, ragged: bool) -> Scenario:
    """Return the scenario with a first launch that blocks, and attention by unlike lengths."""
    host = made.time.host.model_copy(update={"first_launch_s": first_launch_s})
    time = made.time.model_copy(update={"host": host, "ragged": ragged})
    return made.model_copy(update={"time": time})


def compiled(parts: Parts, share: float) -> Parts:
    """Return the parts with dense kernels that take so much less."""
    profile = parts.profile
    dense = replace(profile.dense, seconds=profile.dense.seconds * (1 - share))
    return replace(parts, profile=replace(profile, dense=dense))


def other_clocks(made: Scenario, trace: Trace, measured: Served, blocked_s: float) -> None:
    """Print the figures with unlike lengths counted, and with faster dense kernels."""
    short = measured.latencies["queue_s"] < SHORT_S
    keys = ("service_s", "tpot_s", "e2e_s", "ttft_s")
    theirs = {key: float(measured.latencies[key].mean()) for key in keys}
    print("\n| unlike lengths | dense kernels | prefill service | TPOT | E2E | TTFT | early TTFT |")
    print("|---|---|---|---|---|---|---|")
    for ragged in (False, True):
        cold = changed(made, blocked_s, ragged)
        for share in EAGER_SHARES:
            parts = compiled(build(cold), share)
            ours = Simulated(serve(cold, parts, trace), parts).served
            means = [f"{float(ours.latencies[k].mean()) / theirs[k] - 1:+.1%}" for k in keys]
            cells = [*means, f"{early(ours, measured, short):.1%}"]
            counted = "counted" if ragged else "as the mean"
            print(f"| {counted} | {-share:.0%} | {' | '.join(cells)} |")


def rates(runs: list[Simulated], seen: Timeline) -> None:
    """Print how tokens per second differ, over windows, and how much of it is being late."""
    theirs = seen.series["gen_throughput"]
    late = runs[0].over(seen.times_s + LATE_S).series["gen_throughput"]
    lines = [run.over(seen.times_s).series["gen_throughput"] for run in runs]
    itself = f"simulated, {LATE_S:.0f} s later against itself"
    print(f"\n| tokens of the same | simulated | first launch blocked | {itself} |")
    print("|---|---|---|---|")
    for window in WINDOWS:
        errors = [apart(line, theirs, window) for line in lines]
        own = apart(late, lines[0], window)
        print(f"| {window} s | {errors[0]:.1%} | {errors[1]:.1%} | {own:.1%} |")
    medians = [float(np.median(line)) for line in (theirs, *lines)]
    print(f"\nMedian second: {medians[0]:,.0f} measured, {medians[1]:,.0f}, {medians[2]:,.0f}.")
    half = theirs.sum() / 2
    done = [float(np.interp(half, np.cumsum(x), seen.times_s)) for x in (theirs, *lines)]
    late_s = [at - done[0] for at in done[1:]]
    print(f"Half of the tokens: {done[0]:.1f} s measured, {late_s[0]:+.1f} s, {late_s[1]:+.1f} s.")


def apart(ours: np.ndarray, theirs: np.ndarray, window: int) -> float:
    """Return the median relative difference of means over windows."""
    whole = len(ours) // window * window
    one, other = (x[:whole].reshape(-1, window).mean(axis=1) for x in (ours, theirs))
    return float(np.median(np.abs(one[other > 0] / other[other > 0] - 1.0)))


def over_time(runs: list[Simulated], measured: Served, seen: Timeline) -> None:
    """Print means over time, and preemptions as the counts show them."""
    every = [(seen, measured), *((run.over(seen.times_s), run.served) for run in runs)]
    print("\n| mean over time | measured | simulated | first launch blocked |\n|---|---|---|---|")
    for key in ("running", "waiting", "kv_cache_pct"):
        print(f"| {PLOTS[key]} | {' | '.join(f'{x.series[key].mean():.1f}' for x, _ in every)} |")
    print(f"| {PLOTS['again']} | {' | '.join(f'{again(*pair).mean():.1f}' for pair in every)} |")
    counts = [str(preemptions_by_counts(*pair)) for pair in every]
    print(f"| *preemptions that the counts show* | {' | '.join(counts)} |")
    whole = [str(int(run.run.requests.preemptions.sum())) for run in runs]
    print(f"| *preemptions* | not logged | {' | '.join(whole)} |")


def first_requests(runs: list[Simulated], measured: Served) -> None:
    print("\n| request | queued s | TTFT ms | simulated | first launch blocked |")
    print("|---|---|---|---|---|")
    for i in range(14):
        cells = [
            f"{s.latencies['ttft_s'][i] * 1e3:.0f}" for s in (measured, *(r.served for r in runs))
        ]
        print(f"| {i} | {measured.entered_s[i]:.3f} | {' | '.join(cells)} |")


def pictures(run: Simulated, measured: Served, seen: Timeline, folder: Path) -> None:
    ours = with_again(run.over(seen.times_s), run.served).series
    theirs = with_again(seen, measured).series
    for key, title in PLOTS.items():
        lines = {"simulated": (seen.times_s, ours[key]), "measured": (seen.times_s, theirs[key])}
        draw(folder / f"measured_rtx4090_{key}.svg", title, lines)
    t, lost = seen.times_s, ours["preemptions"]
    draw(
        folder / "measured_rtx4090_preemptions.svg", "preemptions so far", {"simulated": (t, lost)}
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--pictures", "target", default="docs/results", help="where they go")
def main(folder: Path, target: str) -> None:
    """Simulate the measured run; FOLDER is its data."""
    made = scenario(folder, {})
    free = made.model_copy(
        update={"engine": made.engine.model_copy(update={"num_gpu_blocks": None})}
    )
    parts, trace = build(made), load_workload(made.workload, made.seed)
    measured = read_measured(folder / "requests.jsonl")
    blocked_s = float(measured.entered_s[1])
    cold = changed(made, blocked_s, False)
    runs = [
        Simulated(serve(made, parts, trace), parts),
        Simulated(serve(cold, build(cold), trace), parts),
    ]
    seen = read_timeline(folder / "timeseries.csv")
    offset_s = clock_offset(seen, measured)
    seen = seen.shifted(offset_s)
    memory = build(free)
    figures(runs, measured, memory.pool.num_blocks)
    terms = ", ".join(f"{name} {size / 1e9:.3f}e9" for name, size in memory.memory.terms())
    print(f"\nGPU memory: {terms}.")
    print(f"First launch blocked for {blocked_s:.3f} s; samples on a clock {offset_s:+.2f} s off.")
    other_clocks(made, trace, measured, blocked_s)
    rates(runs, seen)
    over_time(runs, measured, seen)
    record, profile = runs[0].run.record.columns(), parts.profile
    print_steps(record, (seen, measured), (runs[0].over(seen.times_s), runs[0].served), profile)
    print_ragged(folder / "skew.csv")
    first_requests(runs, measured)
    pictures(runs[0], measured, seen, Path(target))


if __name__ == "__main__":
    main()
