"""``tierlab validate``: predicted against measured, on shapes that the fit did not see."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tierlab.simulator.cli import options
from tierlab.simulator.cli.options import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tierlab.hwmodels.device import Gpu
    from tierlab.hwmodels.time.silicon.holdout import Row
    from tierlab.hwmodels.time.silicon.machine import Machine
    from tierlab.hwmodels.time.silicon.measured import Measured

SYSTEMS = ("h200_sxm", "h100_sxm", "a100_sxm", "b200_sxm", "l40s")


@click.command(
    epilog="""\b
Reads the public tables of the PyPI package aiconfigurator-core (Apache-2.0): decode and prefill
attention, GEMM, and every other table that calibrate reads. Each quarter of the groups (heads, KV
heads, head width; n, k; ...) is left out of a fit in turn and scored. With --from, measurements of
your own: what 'tierlab calibrate --from' takes, 400 rows or more of a kernel. All public tables
take most of an hour of one core.

\b
Examples:
  tierlab validate --jobs 8
  tierlab validate --from measured.parquet --hardware ./my-gpu.toml --json
  tierlab validate --system h200_sxm --op decode_attention --points 1000 -o validation
""",
)
@click.option("--from", "source", metavar="SOURCE", help="Measurements of your own.")
@click.option("--hardware", metavar="H", help="Of --from: device of the catalogue, or its TOML.")
@click.option(
    "--system",
    "systems",
    multiple=True,
    metavar="NAME",
    help="Of the package; all that ship. Repeatable.",
)
@click.option("--op", "ops", multiple=True, metavar="OP", help="Operation; all. Repeatable.")
@click.option("--framework", default="vllm", show_default=True, metavar="NAME", help="Engine.")
@click.option(
    "--points", type=click.IntRange(min=30), default=40000, show_default=True,
    help="Measurements that each fit takes, at most.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Processes; 1 when absent.")
@click.option(
    "--tables", type=click.Path(path_type=Path), metavar="DIR",
    help="The unpacked package, where it is not installed.",
)  # fmt: skip
@click.option(
    "-o", "--output", "output", type=click.Path(path_type=Path), default=None, metavar="DIR",
    help="Also write validation.csv and validation.html here.",
)  # fmt: skip
@options.as_json
def validate(
    source: str | None,
    hardware: str | None,
    systems: tuple[str, ...],
    ops: tuple[str, ...],
    framework: str,
    points: int,
    jobs: int,
    tables: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Say how far kernel models are from public silicon, by operation, device and stratum."""
    from tierlab.simulator.results.folder import check_target, new_folder

    if output is not None:
        check_target(output)
    if source is None:
        refuse("--from", ("hardware",))
        measured = _public(systems or SYSTEMS, framework, tables)
    else:
        refuse("the public tables", ("systems", "framework", "tables"))
        measured = _own(source, hardware)
    rows = collect(measured, ops, points, jobs)
    if as_json:
        strata = [{k: _known(v) for k, v in asdict(r).items()} for r in rows]
        click.echo(json.dumps({"strata": strata}))
    else:
        show(rows)
    if output is not None:
        with new_folder(output) as folder:
            write(rows, folder)


def _public(
    systems: tuple[str, ...], framework: str, tables: Path | None
) -> Iterator[tuple[Gpu, list[Measured]]]:
    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES
    from tierlab.hwmodels.time.silicon.others import read_public

    for system in systems:
        parts = read_public(system, framework, None, tables)
        yield load_system(DEVICES.get(system, system), "--system").gpu, parts


def _own(source: str, hardware: str | None) -> Iterator[tuple[Gpu, list[Measured]]]:
    from tierlab.simulator.cli.calibrate_from import of_ones_own

    gpu, parts, _ = of_ones_own(source, hardware)
    yield gpu, parts


def collect(
    measured: Iterable[tuple[Gpu, list[Measured]]], ops: tuple[str, ...], points: int, jobs: int = 1
) -> list[Row]:
    """Fit and score every kernel, some at once; progress goes to stderr, rows keep their order.

    Raises
    ------
    BadInput
        A name is unknown, or no table that was asked for is large enough.
    """
    from joblib import Parallel, delayed

    from tierlab.hwmodels.time.silicon.holdout import FEWEST
    from tierlab.hwmodels.time.silicon.machine import machine_of
    from tierlab.hwmodels.time.silicon.registry import KERNELS
    from tierlab.kernels.base.errors import BadInput
    from tierlab.kernels.base.names import pick
    from tierlab.simulator.cli.progress import progress

    wanted = {pick(op, {k: k for k in KERNELS}, "--op", "operation") for op in ops} or set(KERNELS)
    todo = [
        (part, machine_of(gpu))
        for gpu, parts in measured
        for part in parts
        if part.key.op in wanted and len(part) >= 4 * FEWEST
    ]
    rows: list[Row] = []
    each = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_held_out)(part, machine, points) for part, machine in todo
    )
    with progress("kernels", "kernels") as seen:
        for done, ((part, machine), found) in enumerate(zip(todo, each, strict=True), 1):
            if seen is not None:
                seen(done, len(todo))
            elif not isinstance(found, str):
                click.echo(f"[{done}/{len(todo)}] {machine.name}: {part.key.label()}", err=True)
            if isinstance(found, str):
                click.echo(f"{machine.name}: {part.key.label()}: {found}, left out", err=True)
            else:
                rows += found
    if not rows:
        what = f"no table of {', '.join(sorted(wanted))} to hold against"
        raise BadInput(
            "--op" if ops else "validate", what, f"{4 * FEWEST} rows or more of a kernel"
        )
    return rows


def _held_out(part: Measured, machine: Machine, points: int) -> list[Row] | str:
    """Return a kernel's rows, or why it has none."""
    from tierlab.hwmodels.time.silicon.fit import NotConverged, Options
    from tierlab.hwmodels.time.silicon.holdout import hold_out

    if part.groups().max() == 0:
        return "one group of shapes"
    try:
        return hold_out(part, machine, Options(points=points))
    except NotConverged:
        return "did not converge"


_HEAD = (
    "kernel", "measured", "rows", "p50", "p90", "by time", "bias", "in band", "formula", "noise",
)  # fmt: skip


def show(rows: list[Row]) -> None:
    """Print the table, what its noise is, and the worst case of each kernel."""
    from tierlab.simulator.cli.tables import table

    table("predicted against measured, held-out shapes", _HEAD, [cells(r) for r in rows])
    click.echo(
        "rows: held out. p50, p90, by time: of |predicted / measured - 1|. formula: p50 without"
    )
    click.echo("trees. noise: neighbours of which the larger took less time / less by over 2%.")
    for row in sorted(rows, key=lambda r: -r.p90)[:5]:
        click.echo(f"worst of {row.device} {row.kernel}, {row.stratum}: {row.worst}")


def cells(row: Row) -> list[str]:
    """Return what a row shows."""
    percents = (row.median, row.p90, row.weighted, row.bias, row.coverage, row.formula_median)
    shown = [f"{100 * v:.1f}%" for v in percents]
    known = _known(row.falls) is not None
    noise = f"{100 * row.falls:.0f}% / {100 * row.falls_2pc:.1f}%" if known else "-"
    return [f"{row.device} {row.kernel}", row.stratum, f"{row.points:,}", *shown, noise]


def _known(value: object) -> object:
    """Return the value, None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def write(rows: list[Row], folder: Path) -> None:
    """Write the table as CSV, and a page with its plot."""
    import plotly.graph_objects as go
    import polars as pl

    frame = pl.DataFrame([asdict(r) for r in rows])
    frame.write_csv(folder / "validation.csv")
    figure = go.Figure()
    for stratum in frame["stratum"].unique(maintain_order=True):
        part = frame.filter(pl.col("stratum") == stratum)
        names = (part["device"] + " " + part["kernel"]).to_list()
        figure.add_bar(
            name=stratum, y=names, x=(100 * part["median"]).to_list(), orientation="h",
            error_x={
                "array": (100 * (part["p90"] - part["median"])).to_list(), "symmetric": False,
                "arrayminus": [0.0] * len(part),
            },
            hovertext=[
                f"{row['worst']}<br>larger shapes that took less: {100 * row['falls']:.0f}%, "
                f"by over 2%: {100 * row['falls_2pc']:.1f}%"
                for row in part.iter_rows(named=True)
            ],
        )  # fmt: skip
    figure.update_layout(
        title="Held-out error: median, whisker to p90",
        xaxis_title="|predicted / measured - 1|, %",
        height=200 + 28 * len(rows),
    )
    figure.write_html(folder / "validation.html", include_plotlyjs=True)
