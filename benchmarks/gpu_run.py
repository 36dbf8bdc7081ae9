"""Measure a GPU in one call of under 8 minutes, on a machine with numpy, numba, cupy and click.

Usage: python benchmarks/gpu_run.py [--device cuda:0] [--quick] [--budget S] [--only PART] [-o DIR]

DIR gets measured.json (what `tierlab calibrate --device` writes), measured.npz (its columns as
NumPy arrays) and figures.json: attention and gathers as a share of what memory and link reach in
the same run. Nothing needs to be installed; the same command goes on where it was stopped.
With --device cpu it runs the CPU's measurements instead, to try it out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY / ".types"))

import click  # noqa: E402

from tierlab.kernels.base.errors import BadInput, BrokenLaw  # noqa: E402
from tierlab.kernels.measure.figures import figures, written  # noqa: E402
from tierlab.kernels.measure.measure import Interrupted, Request, measure  # noqa: E402
from tierlab.kernels.measure.output import write, write_arrays  # noqa: E402


def _say(line: str) -> None:
    click.echo(line, err=True)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done}/{total} measurements", nl=done == total, err=True)


def write_all(request: Request, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write arrays and figures beside the measurements; return the figures."""
    found = figures(rows)
    write_arrays(request.output.with_suffix(".npz"), list(rows))
    text = json.dumps(found, indent=1) + "\n"
    write(request.output.with_name("figures.json"), text)
    return found


def run(
    device: str, folder: Path, quick: bool, budget_s: float | None, only: tuple[str, ...] = ()
) -> int:
    """Measure, write, print the figures; return the exit status."""
    request = Request(device, folder / "measured.json", quick, only=only, budget_s=budget_s)
    try:
        found = measure(request, _progress, _say)
        for name, value in write_all(request, found.rows).items():
            click.echo(written(name, value))
    except BadInput as error:
        _say(f"gpu_run: error: {error}")
        return 2
    except BrokenLaw as error:
        _say(f"gpu_run: a measurement did not do its work: {error}")
        return 1
    except Interrupted as stop:
        _say(f"gpu_run: {stop}")
        return 130
    _say(f"{folder}: {len(found.rows)} rows")
    return 0


@click.command()
@click.option("--device", default="cuda:0", show_default=True)
@click.option("--quick", is_flag=True, help="Fewer points, under 30 s.")
@click.option("--budget", type=float, metavar="S", help="Seconds to measure for.")
@click.option("--only", multiple=True, metavar="PART", help="This part only. Repeatable.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("gpu-run"))
def main(
    device: str, quick: bool, budget: float | None, only: tuple[str, ...], output: Path
) -> None:
    """Measure a GPU into a folder."""
    made = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _say(f"gpu_run: error: -o: cannot make {output}: {error.strerror}")
        sys.exit(2)
    status = run(device, output, quick, budget, only)
    if made and not any(output.iterdir()):
        output.rmdir()
    sys.exit(status)


if __name__ == "__main__":
    main()
