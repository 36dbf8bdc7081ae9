"""Held-out error of kernel models beyond plain attention and GEMM, on public silicon tables.

python benchmarks/validate_others.py TABLES [KERNEL...]

TABLES is the unpacked PyPI package aiconfigurator-core (Apache-2.0; 0.12.0 was used), KERNEL a
kernel model, absent all. Each quarter of the groups of shapes (docs/results/silicon_others.md) is
left out in turn; all strata of time are scored together, because most of these tables are small.
Routed experts are fitted on all routings together and scored by each: even, or a power law's
exponent.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES
from tierlab.hwmodels.time.silicon.fit import FEWEST, NotConverged
from tierlab.hwmodels.time.silicon.holdout import PARTS, Said, in_turn
from tierlab.hwmodels.time.silicon.kernel import Floats
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.others import read_others
from tierlab.kernels.ops.routing import EVEN

FRAMEWORKS = ("vllm", "trtllm", "sglang")
ONLY = {
    "trtllm": ("mla_decode", "mla_prefill", "batched_gemm"),
    "sglang": ("grouped_gemm", "mamba_decode"),
}
"""What is read of the others where vLLM's tables lack it: these hold whole MLA modules, no kernels;
L40S's and A100's no products of heads, and A100's no experts in 4 bits nor linear attention."""


def cells(said: Said, true: Floats) -> str:
    """Return median, p90, time-weighted error, band coverage, and the bare formula's median."""
    size = np.abs(said.seconds / true - 1.0)
    within = ((true >= said.p10) & (true <= said.p90)).mean()
    formula = np.median(np.abs(said.bare / true - 1.0))
    figures = (np.median(size), np.quantile(size, 0.9), (size * true).sum() / true.sum())
    return " | ".join(f"{100 * x:.1f}%" for x in (*figures, within, formula))


def by_routing(part: Measured) -> dict[str, NDArray[np.bool_]]:
    """Return the rows of each routing; of other operations, all, without a name."""
    if part.key.op != "grouped_gemm":
        return {"": np.ones(len(part), bool)}
    routing = part.ops["routing"]
    return {"even" if r == EVEN else f"{r:g}": routing == r for r in np.unique(routing)}


def parts(system: str, tables: Path) -> Iterator[Measured]:
    """Yield what is read of one system: of the first framework all, of others what it lacks."""
    own: set[tuple[str, str, str]] = set()
    for framework in FRAMEWORKS:
        for part in read_others(system, framework, None, tables):
            kind = part.key.op, part.key.dtype, part.key.kv_dtype
            if framework == FRAMEWORKS[0]:
                own.add(kind)
            elif kind[0] not in ONLY[framework] or kind in own:
                continue
            yield part


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
        for part in parts(system, tables):
            passed = bool(wanted) and part.key.op not in wanted
            if passed or len(part) < PARTS * FEWEST / (PARTS - 1):
                continue
            head = f"| {name} | {part.key.label()}"
            try:
                said, points = in_turn(part, machine)
            except NotConverged:
                print(f"{head} | did not converge, not used | | | | | | | |", flush=True)
                continue
            for routing, rows in by_routing(part).items():
                told = cells(Said(*(each[rows] for each in said)), part.seconds[rows])
                print(f"{head} | {routing} | {rows.sum():,} | {points:,} | {told} |", flush=True)


if __name__ == "__main__":
    main()
