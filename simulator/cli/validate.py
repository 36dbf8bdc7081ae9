"""``tierlab validate``: predicted against measured, on shapes that the fit did not see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tierlab.hwmodels.time.silicon.holdout import Row

SYSTEMS = ("h200_sxm", "h100_sxm", "a100_sxm", "b200_sxm", "l40s")


@click.command(
    epilog="""\b
Reads the public tables of the PyPI package aiconfigurator-core (Apache-2.0): decode and prefill
attention, GEMM, and every other table that calibrate reads. A quarter of the groups (heads, KV
heads, head width; n, k; ...) is left out of each fit and scored.

\b
Examples:
  tierlab validate
  tierlab validate --system h200_sxm --op decode_attention --points 1000 -o validation
""",
)
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
@click.option(
    "--tables", type=click.Path(path_type=Path), metavar="DIR",
    help="The unpacked package, where it is not installed.",
)  # fmt: skip
@click.option(
    "-o", "--output", "output", type=click.Path(path_type=Path), default=None, metavar="DIR",
    help="Also write validation.csv and validation.html here.",
)  # fmt: skip
def validate(
    systems: tuple[str, ...],
    ops: tuple[str, ...],
    framework: str,
    points: int,
    tables: Path | None,
    output: Path | None,
) -> None:
    """Say how far kernel models are from public silicon, by operation, device and stratum."""
    from tierlab.simulator.results.folder import check_target, new_folder

    if output is not None:
        check_target(output)
    rows = collect(systems or SYSTEMS, ops, framework, points, tables)
    show(rows)
    if output is not None:
        with new_folder(output) as folder:
            write(rows, folder)


def collect(
    systems: tuple[str, ...],
    ops: tuple[str, ...],
    framework: str,
    points: int,
    tables: Path | None,
) -> list[Row]:
    """Fit and score every kernel; progress goes to stderr.

    Raises
    ------
    BadInput
        A name is unknown, or no table that was asked for is large enough.
    """
    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES
    from tierlab.hwmodels.time.silicon.fit import NotConverged, Options
    from tierlab.hwmodels.time.silicon.holdout import FEWEST, hold_out
    from tierlab.hwmodels.time.silicon.machine import machine_of
    from tierlab.hwmodels.time.silicon.others import read_public
    from tierlab.hwmodels.time.silicon.registry import KERNELS
    from tierlab.kernels.base.errors import BadInput
    from tierlab.kernels.base.names import pick

    wanted = {pick(op, {k: k for k in KERNELS}, "--op", "operation") for op in ops} or set(KERNELS)
    rows: list[Row] = []
    for system in systems:
        parts = read_public(system, framework, None, tables)
        machine = machine_of(load_system(DEVICES.get(system, system), "--system").gpu)
        for part in parts:
            if part.key.op in wanted and len(part) >= 4 * FEWEST:
                click.echo(f"{machine.name}: {part.key.label()}", err=True)
                try:
                    rows += hold_out(part, machine, Options(points=points))
                except NotConverged:
                    click.echo("  did not converge, left out", err=True)
    if not rows:
        what = f"no table of {', '.join(sorted(wanted))} to hold against"
        raise BadInput(
            "--op" if ops else "--system", what, f"{4 * FEWEST} rows or more of a kernel"
        )
    return rows


_HEAD = (
    "device", "kernel", "time", "held out", "fitted", "median", "p90", "by time", "bias",
    "in band", "formula",
)  # fmt: skip


def show(rows: list[Row]) -> None:
    """Print the table, and the worst case of each kernel."""
    from tierlab.simulator.cli.tables import table

    table("predicted against measured, held-out shapes", _HEAD, [cells(r) for r in rows])
    for row in sorted(rows, key=lambda r: -r.p90)[:5]:
        click.echo(f"worst of {row.device} {row.kernel}, {row.stratum}: {row.worst}")


def cells(row: Row) -> list[str]:
    """Return what a row shows."""
    percents = (row.median, row.p90, row.weighted, row.bias, row.coverage, row.formula_median)
    shown = [f"{100 * v:.1f}%" for v in percents]
    return [row.device, row.kernel, row.stratum, f"{row.points:,}", f"{row.fitted:,}", *shown]


def write(rows: list[Row], folder: Path) -> None:
    """Write the table as CSV, and a page with its plot."""
    from dataclasses import asdict

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
            hovertext=part["worst"].to_list(),
        )  # fmt: skip
    figure.update_layout(
        title="Held-out error: median, whisker to p90",
        xaxis_title="|predicted / measured - 1|, %",
        height=200 + 28 * len(rows),
    )
    figure.write_html(folder / "validation.html", include_plotlyjs=True)
