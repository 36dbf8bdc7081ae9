"""The measured vLLM run on an RTX 4090, simulated with kernel models instead of its profile.

python benchmarks/silicon_rtx4090.py FOLDER

FOLDER holds requests.jsonl, timeseries.csv and the profile (LLMServingSim, MIT). The calibration
that ships was fitted to the profile alone, before this run is read:
``tierlab calibrate --from FOLDER -o hwmodels/calibration/rtx-4090.json``.
Prints the tables of docs/results/silicon_rtx4090.md.
"""

from pathlib import Path

import click
import numpy as np
from ablation_rtx4090 import scenario
from measured_rtx4090 import SHORT_S, Simulated, apart, changed, early

from tierlab.hwmodels.time.silicon.make import DATASHEET_FILE
from tierlab.simulator.comparison.measured import read_measured
from tierlab.simulator.comparison.overtime import clock_offset
from tierlab.simulator.comparison.served import Served
from tierlab.simulator.comparison.timeline import Timeline, read_timeline
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.run import serve
from tierlab.simulator.workload import load_workload

CLOCKS = {
    "profile tables, lengths as the mean": ("profile:{}", False),
    "fitted kernels, lengths as the mean": ("silicon", False),
    "profile tables": ("profile:{}", True),
    "fitted kernels": ("silicon", True),
    "datasheet": (f"silicon:{DATASHEET_FILE}", True),
    "roofline": ("roofline", False),
}
"""Column -> time model, and whether unlike lengths in a batch count (``time.ragged``)."""
FIGURES = (
    ("prefill service, mean", "service_s", np.mean, 0.075, 1e3, " ms"),
    ("prefill service, median", "service_s", np.median, 0.075, 1e3, " ms"),
    ("TPOT, mean", "tpot_s", np.mean, 0.03, 1e3, " ms"),
    ("E2E latency, mean", "e2e_s", np.mean, 0.03, 1.0, " s"),
    ("TTFT, mean", "ttft_s", np.mean, 0.03, 1.0, " s"),
)
"""Title, latency, statistic, 1.5 x the serving run's tolerance, scale, unit."""
UNFITTED = ("datasheet", "roofline")
WIDE = 0.15
"""What the clocks that nobody fitted on this GPU aim at."""


def simulated(folder: Path, clock: tuple[str, bool], first_launch_s: float) -> Simulated:
    """Run the scenario with another clock, and a first launch that blocks so long."""
    model, ragged = clock
    plain = changed(scenario(folder, {}), first_launch_s, ragged=ragged)
    time = plain.time.model_copy(update={"model": model.format(folder)})
    made = plain.model_copy(update={"time": time})
    parts, trace = build(made), load_workload(made.workload, made.seed)
    return Simulated(serve(made, parts, trace), parts)


def cells(errors: list[float], limit: float) -> str:
    """Return the cells of a row, in bold what misses its limit."""
    limits = [WIDE if clock in UNFITTED else limit for clock in CLOCKS]
    pairs = zip(errors, limits, strict=True)
    return " | ".join(f"{e:+.1%}" if abs(e) <= most else f"**{e:+.1%}**" for e, most in pairs)


def latencies(runs: list[Simulated], measured: Served) -> None:
    for title, key, reduce, limit, unit, name in FIGURES:
        true = float(reduce(measured.latencies[key]))
        errors = [float(reduce(r.served.latencies[key])) / true - 1 for r in runs]
        print(f"| {title} | {true * unit:,.4g}{name} | {cells(errors, limit)} | {limit:.1%} |")


def rates(runs: list[Simulated], seen: Timeline) -> None:
    true = seen.series["gen_throughput"]
    lines = [run.over(seen.times_s).series["gen_throughput"] for run in runs]
    median = float(np.median(true))
    errors = [float(np.median(line)) / median - 1 for line in lines]
    print(f"| tokens of the median second | {median:,.0f} | {cells(errors, 0.075)} | 7.5% |")
    for window in (1, 5):
        errors = [apart(line, true, window) for line in lines]
        print(f"| tokens of the same {window} s, median error | | {cells(errors, 0.075)} | 7.5% |")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Print the tables; FOLDER is the measured run's data."""
    measured = read_measured(folder / "requests.jsonl")
    seen = read_timeline(folder / "timeseries.csv")
    seen = seen.shifted(clock_offset(seen, measured))
    blocked_s = float(measured.entered_s[1])
    for first_launch_s in (0.0, blocked_s):
        print(f"\nFirst launch blocked for {first_launch_s:.3f} s:\n")
        table([simulated(folder, c, first_launch_s) for c in CLOCKS.values()], measured, seen)


def table(runs: list[Simulated], measured: Served, seen: Timeline) -> None:
    print(f"| figure | measured | {' | '.join(CLOCKS)} | 1.5 x tolerance |")
    print(f"|---|---|{'---|' * len(CLOCKS)}---|")
    latencies(runs, measured)
    rates(runs, seen)
    short = measured.latencies["queue_s"] < SHORT_S
    errors = [early(run.served, measured, short) for run in runs]
    title = f"TTFT of the {short.sum()} that queued under {SHORT_S} s, median error"
    print(f"| {title} | | {cells(errors, 0.15)} | 15.0% |")
    counts = [str(int(run.run.requests.preemptions.sum())) for run in runs]
    print(f"| *preemptions* | not logged | {' | '.join(counts)} | |")


if __name__ == "__main__":
    main()
