"""``tierlab calibrate``: a device measured here, or parameters of time models from measurements."""

from __future__ import annotations

from pathlib import Path

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.cli.options import refuse


@click.command(
    epilog="""\b
Sources of --from:
  aiconfigurator   public silicon tables of the PyPI package aiconfigurator-core
  FILE             a .parquet or .csv with the columns of 'tierlab predict' and 'seconds',
                   or the .json of --device
  FOLDER           a profile in LLMServingSim's layout: dense.csv, per_sequence.csv,
                   attention.csv, profile_meta.yaml, and skew.csv if it has one

\b
--device measures memory, files (direct I/O) and kernels of a CPU in 5 minutes, or memory, copies
to and from the host and kernels of a GPU in 8. Stopped by Ctrl-C or worse, the same command goes
on where it was.

\b
Examples:
  tierlab calibrate --device cpu -o cpu.json
  tierlab calibrate --device cpu --quick --files /mnt/nvme -o cpu.json
  tierlab calibrate --device cuda:0 --hardware H200 -o h200-measured.json
  tierlab calibrate --from aiconfigurator --system h200_sxm --framework vllm -o h200.json
  tierlab calibrate --from measured.parquet --hardware ./my-gpu.toml -o mine.json
  tierlab calibrate --from vllm_rtx4090/ -o rtx-4090.json
  tierlab calibrate --from aiconfigurator --system h200_sxm --framework trtllm \\
      --op mla_decode --op mla_prefill --onto h200.json -o h200.json
  tierlab calibrate --from aiconfigurator --system a100_sxm --framework sglang \\
      --op grouped_gemm --onto a100.json --lacking -o a100.json
""",
)
@click.option(
    "--device", metavar="cpu|cuda:N", help="Measure this device here and now, into FILE.json."
)
@click.option("--from", "source", metavar="SOURCE", help="Fit times that were measured before.")
@click.option("--quick", is_flag=True, help="With --device: fewer points, under 30 s.")
@click.option(
    "--files", type=click.Path(path_type=Path), metavar="DIR",
    help="With --device cpu: where files are read and written; the output's folder when absent.",
)  # fmt: skip
@click.option(
    "--budget", type=click.FloatRange(min=0.0), metavar="S",
    help="With --device: measure for S seconds; every point is measured once whatever S is.",
)  # fmt: skip
@click.option("--only", multiple=True, metavar="PART", help="With --device: this part. Repeatable.")
@click.option("--skip", multiple=True, metavar="PART", help="With --device: not it. Repeatable.")
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
@click.option(
    "--lacking", is_flag=True,
    help="With --onto: fit only operations and dtypes that FILE has no kernel of.",
)  # fmt: skip
@click.option("--hardware", metavar="H", help="Device of the catalogue, or path of a TOML.")
@click.option(
    "--points", type=click.IntRange(min=0), default=40000, show_default=True,
    help="Measurements of each kernel, at most; 0 for all.",
)  # fmt: skip
@click.option(
    "-o", "--output", "output", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="The measurements or the calibration, .json.",
)  # fmt: skip
def calibrate(
    device: str | None,
    source: str | None,
    quick: bool,
    files: Path | None,
    budget: float | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    system: str | None,
    framework: str,
    version: str | None,
    tables: Path | None,
    ops: tuple[str, ...],
    onto: Path | None,
    lacking: bool,
    hardware: str | None,
    points: int,
    output: Path,
) -> None:
    """Measure a device, or fit the parameters of time models and keep their residuals as bands."""
    if (device is None) == (source is None):
        what = "both --device and --from" if device else "neither --device nor --from"
        raise BadInput("calibrate", f"{what} given", "one of them")
    if device is not None:
        from tierlab.simulator.cli.calibrate_device import calibrate_device

        refuse("--from", _FROM)
        calibrate_device(
            device, output, quick=quick, files=files, budget_s=budget, only=only, skip=skip,
            hardware=hardware,
        )  # fmt: skip
        return
    from tierlab.simulator.cli.calibrate_from import SOURCES, calibrate_from

    refuse("--device", _DEVICE)
    if source not in SOURCES:
        refuse(f"--from {SOURCES[0]}", _PUBLIC)
    calibrate_from(
        str(source),
        output,
        system=system,
        framework=framework,
        version=version,
        tables=tables,
        ops=ops,
        onto=onto,
        lacking=lacking,
        hardware=hardware,
        points=points,
    )


_DEVICE = ("quick", "files", "budget", "only", "skip")
_PUBLIC = ("system", "framework", "version", "tables")
_FROM = (*_PUBLIC, "ops", "onto", "lacking", "points")
"""Options of each way; those of `_PUBLIC` choose among public tables."""
