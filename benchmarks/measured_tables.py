"""Print a file of `tierlab calibrate --device cpu` as Markdown tables.

Usage: python benchmarks/measured_tables.py FILE.json
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.units import duration, gib
from tierlab.kernels.measure.agree import Row
from tierlab.kernels.measure.figures import figures, written
from tierlab.kernels.measure.output import load

Cell = Callable[[Row], str]


def _spread(row: Row, scale: float, digits: int = 1) -> str:
    """Return a rate with its spread; the slow end of the time is the low end of the rate."""
    middle, low, high = (scale / row[k] for k in ("seconds", "seconds_p90", "seconds_p10"))
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def _grid(rows: Sequence[Row], title: str, line: str, column: str, cell: Cell) -> str:
    """Return a table with a line for each value of one column and a column for each of another."""
    across = sorted({r[column] for r in rows})
    cells: dict[int, dict[int, str]] = defaultdict(dict)
    for row in rows:
        cells[row[line]][row[column]] = cell(row)
    heads = " | ".join(f"{column.replace('_', ' ')} {value}" for value in across)
    body = [
        f"| {gib(size)} | " + " | ".join(found.get(value, "") for value in across) + " |"
        for size, found in sorted(cells.items())
    ]
    return "\n".join(["", title, "", f"| | {heads} |", "|---" * (len(across) + 1) + "|", *body])


def memory(rows: Sequence[Row]) -> list[str]:
    """Return read and copy by size and threads."""
    return [
        _grid(
            [r for r in rows if r["op"] == op and r.get("src") == "dram" and "threads" in r],
            f"**{op}**, GB/s (p10-p90)",
            "bytes",
            "threads",
            lambda r: _spread(r, r["bytes"] / 1e9),
        )
        for op in ("read", "copy")
    ]


def files(rows: Sequence[Row]) -> list[str]:
    """Return rates of direct I/O by piece and queue depth."""
    return [
        _grid(
            [r for r in rows if r["op"] == op and "queue_depth" in r],
            f"**{op}**, direct I/O, GB/s (p10-p90)",
            "piece_bytes",
            "queue_depth",
            lambda r: _spread(r, r["bytes"] / 1e9, 2),
        )
        for op in ("read", "write", "mixed")
    ]


def kernels(rows: Sequence[Row]) -> str:
    """Return each kernel's largest shape: time and rates."""
    largest: dict[str, Row] = {}
    for row in rows:
        if "operation" in row:
            size = row["flops"] or row["bytes"]
            name = f"{row['operation']} ({row['kernel']})"
            if name not in largest or size > (largest[name]["flops"] or largest[name]["bytes"]):
                largest[name] = row
    lines = ["", "**kernels** at their largest shape", "", "| | shape | time | GB/s | GFLOP/s |"]
    lines.append("|---|---|---|---|---|")
    for name, row in largest.items():
        moved = row.get("moved_bytes", row.get("bytes", 0))
        rates = f"{_spread(row, moved / 1e9)} | {row['flops'] / row['seconds'] / 1e9:.1f}"
        lines.append(f"| {name} | {row['shape']} | {duration(row['seconds'])} | {rates} |")
    return "\n".join(lines)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def main(file: Path) -> None:
    try:
        provenance, rows = load(file, "FILE")
    except BadInput as error:
        click.echo(f"measured_tables: error: {error}", err=True)
        sys.exit(2)
    for key, value in provenance.items():
        click.echo(f"- {key}: {value}")
    click.echo("\n```")
    for name, figure in figures(rows).items():
        click.echo(written(name, figure))
    click.echo("```")
    for text in (*memory(rows), *files(rows), kernels(rows)):
        click.echo(text)


if __name__ == "__main__":
    main()
