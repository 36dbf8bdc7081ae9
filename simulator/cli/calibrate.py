"""``tierlab calibrate``: parameters of time models from measurements."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Sources of --from:
  aiconfigurator   public silicon tables of the PyPI package aiconfigurator-core
  FILE             a .parquet or .csv with the columns of 'tierlab predict' and 'seconds'

\b
Examples:
  tierlab calibrate --from aiconfigurator --system h200_sxm --framework vllm -o h200.json
  tierlab calibrate --from measured.parquet --hardware ./my-gpu.toml -o mine.json
""",
)
@click.option("--from", "source", required=True, metavar="SOURCE", help="Where the times are from.")
@click.option("--system", metavar="NAME", help="System of the source, e.g. h200_sxm.")
@click.option(
    "--framework", default="vllm", show_default=True, metavar="NAME", help="Of the source."
)
@click.option("--version", metavar="V", help="Of the framework; the newest when absent.")
@click.option(
    "--tables", type=click.Path(path_type=Path), metavar="DIR",
    help="The unpacked package, where it is not installed.",
)  # fmt: skip
@click.option("--hardware", metavar="H", help="Device of the catalogue, or path of a TOML.")
@click.option(
    "--points", type=click.IntRange(min=0), default=40000, show_default=True,
    help="Measurements of each kernel, at most; 0 for all.",
)  # fmt: skip
@click.option(
    "-o", "--output", "output", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="The calibration, .json.",
)  # fmt: skip
def calibrate(
    source: str,
    system: str | None,
    framework: str,
    version: str | None,
    tables: Path | None,
    hardware: str | None,
    points: int,
    output: Path,
) -> None:
    """Fit the parameters of time models and keep their residuals as bands."""
    from tierlab.simulator.cli.calibrate_from import calibrate_from

    calibrate_from(
        source,
        output,
        system=system,
        framework=framework,
        version=version,
        tables=tables,
        hardware=hardware,
        points=points,
    )
