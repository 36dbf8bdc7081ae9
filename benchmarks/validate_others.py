"""Held-out error of kernel models beyond plain attention and GEMM, on public silicon tables.

python benchmarks/validate_others.py TABLES [KERNEL...]

TABLES is the unpacked PyPI package aiconfigurator-core (Apache-2.0; 0.12.0 was used), KERNEL a
kernel model, absent all. A quarter of the groups of shapes (docs/results/silicon_others.md) is left
out of each fit and scored, all strata of time together, because most of these tables are small.
Routed experts are fitted on all routings together and scored by each: even, or a power law's
exponent.
"""

from pathlib import Path

import click
import numpy as np

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES
from tierlab.hwmodels.time.silicon.fit import FEWEST, NotConverged, Options, fit
from tierlab.hwmodels.time.silicon.fitted import Fitted
from tierlab.hwmodels.time.silicon.holdout import split
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.others import read_others
from tierlab.kernels.ops.routing import EVEN

FRAMEWORKS = ("vllm", "trtllm")
ONLY = {"trtllm": ("mla_decode", "mla_prefill")}
"""What is read of the second framework: vLLM's tables hold whole MLA modules, no kernels."""


def cells(model: Fitted, machine: Machine, unseen: Measured) -> str:
    """Return median, p90, time-weighted error, band coverage, and the bare formula's median."""
    predicted, low, high, _ = model.predict(unseen.ops, machine)
    size = np.abs(predicted / unseen.seconds - 1.0)
    within = ((unseen.seconds >= low) & (unseen.seconds <= high)).mean()
    bare = model.kernel.seconds(unseen.ops, machine, model.schedule, model.parameters)
    weighted = (size * unseen.seconds).sum() / unseen.seconds.sum()
    formula = np.median(np.abs(bare / unseen.seconds - 1.0))
    figures = (np.median(size), np.quantile(size, 0.9), weighted, within, formula)
    return " | ".join(f"{100 * x:.1f}%" for x in figures)


def by_routing(unseen: Measured) -> list[tuple[str, Measured]]:
    """Return the rows of each routing; of other operations, all, without a name."""
    if unseen.key.op != "grouped_gemm":
        return [("", unseen)]
    routing = unseen.ops["routing"]
    names = {r: "even" if r == EVEN else f"{r:g}" for r in np.unique(routing)}
    return [(name, unseen.take(routing == r)) for r, name in names.items()]


@click.command()
@click.argument("tables", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("wanted", metavar="[KERNEL]...", nargs=-1)
def main(tables: Path, wanted: tuple[str, ...]) -> None:
    """Print the table; TABLES is the unpacked package."""
    columns = "device | kernel | routing | held out | fitted | median | p90 | by time | in band"
    print(f"| {columns} | formula |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for system, name in DEVICES.items():
        machine = machine_of(load_system(name).gpu)
        for framework in FRAMEWORKS:
            for part in read_others(system, framework, None, tables):
                repeated = framework != FRAMEWORKS[0] and part.key.op not in ONLY[framework]
                seen, unseen = split(part)
                passed = bool(wanted) and part.key.op not in wanted
                if repeated or passed or len(seen) < FEWEST:
                    continue
                head = f"| {name} | {part.key.label()}"
                try:
                    model = fit(seen, machine, Options())
                except NotConverged:
                    print(f"{head} | did not converge, not used | | | | | | | |", flush=True)
                    continue
                for routing, rows in by_routing(unseen):
                    counts = f"{routing} | {len(rows):,} | {len(seen):,}"
                    print(f"{head} | {counts} | {cells(model, machine, rows)} |", flush=True)


if __name__ == "__main__":
    main()
