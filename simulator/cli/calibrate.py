"""``tierlab calibrate``: parameters of time models from measurements."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Sources of --from:
  aiconfigurator   public silicon tables of the PyPI package aiconfigurator-core
  FILE             a .parquet or .csv with the columns of 'tierlab predict' and 'seconds'
  FOLDER           a profile in LLMServingSim's layout: dense.csv, per_sequence.csv,
                   attention.csv, profile_meta.yaml

\b
Examples:
  tierlab calibrate --from aiconfigurator --system h200_sxm --framework vllm -o h200.json
  tierlab calibrate --from measured.parquet --hardware ./my-gpu.toml -o mine.json
  tierlab calibrate --from vllm_rtx4090/ -o rtx-4090.json
  tierlab calibrate --from aiconfigurator --system h200_sxm --framework trtllm \
      --op mla_decode --op mla_prefill --onto h200.json -o h200.json
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
@click.option(
    "--op", "ops", multiple=True, metavar="OP", help="Kernel model to fit; all. Repeatable.",
)  # fmt: skip
@click.option(
    "--onto", type=click.Path(path_type=Path), metavar="FILE",
    help="Add to this calibration; what is fitted again replaces its own.",
)  # fmt: skip
@click.option("--hardware", metavar="H", help="Device of the catalogue, or path of a TOML.")
@click.option(
    "--points", type=click.IntRange(min=0), default=12000, show_default=True,
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
    ops: tuple[str, ...],
    onto: Path | None,
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
        ops=ops,
        onto=onto,
        hardware=hardware,
        points=points,
    )
