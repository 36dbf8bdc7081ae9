"""Measure this CPU twice in a row and say whether the two runs agree within their own spread.

Usage: python benchmarks/measure_agrees.py [--quick] [--files DIR] | FIRST.json SECOND.json

Two rows agree when their spreads (p10 to p90) have a time in common; "each median within" counts
the rows where each run's median lies in the other's spread. Exit 1 if less than 90% agree.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import click
import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.measure.agree import Agreement, Row, agreement
from tierlab.kernels.measure.measure import Request, measure
from tierlab.kernels.measure.output import load

WANTED = 0.9


def _measured(quick: bool, files: Path | None) -> list[list[Row]]:
    found: list[list[Row]] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in ("first", "second"):
            began = time.perf_counter()
            output = Path(folder) / f"{turn}.json"
            measure(Request("cpu", output, quick, files or Path.cwd()))
            click.echo(f"{turn} run: {time.perf_counter() - began:.0f} s", err=True)
            found.append(list(load(output, turn)[1]))
    return found


def _group(row: Row) -> str:
    return str(row.get("operation") or f"{row['op']} {row['src']} to {row['dst']}")


def table(found: Agreement) -> str:
    """Return the agreement by what was measured, as Markdown."""
    places = defaultdict(list)
    for i, row in enumerate(found.rows):
        places[_group(row)].append(i)
    lines = [
        "| measured | rows | spreads meet | each median within | p10 to p90 of second / first |",
        "|---|---|---|---|---|",
    ]
    for name, at in [*places.items(), ("all", list(range(len(found.rows))))]:
        low, high = np.quantile(found.ratio[at], (0.1, 0.9))
        share = f"{found.overlap[at].mean():.0%} | {found.inside[at].mean():.0%}"
        lines.append(f"| {name} | {len(at)} | {share} | {low:.2f} to {high:.2f} |")
    return "\n".join(lines)


def _apart(found: Agreement) -> str:
    told = [
        f"- {_group(row)}: {row.get('shape') or row.get('bytes')}: second / first = {ratio:.2f}"
        for row, ratio in found.worst(5)
    ]
    return "\n".join(["furthest apart:", *told])


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True)
@click.option("--files", type=click.Path(path_type=Path))
def main(runs: tuple[Path, ...], quick: bool, files: Path | None) -> None:
    try:
        sides = [load(p, "RUN")[1] for p in runs] if runs else _measured(quick, files)
        if len(sides) != 2:
            raise BadInput("RUN", f"{len(sides)} given", "two files, or none to measure")
        found = agreement(*sides)
        if not found.rows:
            raise BadInput("RUN", "the two have no row in common", "two runs of one device")
    except BadInput as error:
        click.echo(f"measure_agrees: error: {error}", err=True)
        sys.exit(2)
    click.echo(table(found))
    click.echo(_apart(found))
    sys.exit(0 if found.overlap.mean() >= WANTED else 1)


if __name__ == "__main__":
    main()
