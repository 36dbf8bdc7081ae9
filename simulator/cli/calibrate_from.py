"""The body of ``tierlab calibrate --from``: parameters from measured tables."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tierlab.hwmodels.device import Gpu
    from tierlab.hwmodels.time.silicon.measured import Measured

SOURCES = ("aiconfigurator",)


def calibrate_from(
    source: str,
    output: Path,
    *,
    system: str | None,
    framework: str = "vllm",
    version: str | None = None,
    tables: Path | None = None,
    hardware: str | None = None,
    points: int = 40000,
) -> None:
    """Fit kernel models to public tables and write a calibration file.

    Parameters
    ----------
    source
        One of `SOURCES`, or the path of a table with the columns of ``predict`` and ``seconds``.
    output
        The file, .json.
    system, framework, version
        Of the source; absent, `version` is the newest.
    tables
        The source's folder; absent, the installed package.
    hardware
        Device of the catalogue; absent, the one that `system` is known to be.
    points
        Measurements of each kernel, at most; 0 for all.

    Raises
    ------
    BadInput
        The source, system or device is unknown, or nothing could be fitted.
    """
    import click

    from tierlab.hwmodels.time.silicon.calibration import Calibration, dump
    from tierlab.hwmodels.time.silicon.fit import Options, fit_all
    from tierlab.hwmodels.time.silicon.machine import machine_of
    from tierlab.kernels.base.errors import BadInput

    if output.suffix != ".json" or not output.parent.is_dir():
        raise BadInput("-o", f"cannot write {output}", "FILE.json in a folder that exists")
    if source in SOURCES:
        gpu, parts, how = _public(system, framework, version, tables, hardware)
    else:
        gpu, parts, how = _own(source, hardware)
    fitted = fit_all(parts, machine_of(gpu), Options(points=points), _say)
    if not fitted:
        raise BadInput("--from", "no fit converged", "another --framework or --version")
    today = datetime.datetime.now(datetime.UTC).date()
    made = f"{today}: tierlab calibrate --from {how}"
    scratch = output.with_name(f".{output.name}.part")
    scratch.write_text(dump(Calibration(gpu.name, made, tuple(fitted))), encoding="utf-8")
    scratch.replace(output)
    click.echo(f"{output}: {len(fitted)} kernels of {gpu.name}", err=True)


def _say(line: str) -> None:
    import click

    click.echo(line, err=True)


def _public(
    system: str | None,
    framework: str,
    version: str | None,
    tables: Path | None,
    hardware: str | None,
) -> tuple[Gpu, list[Measured], str]:
    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES, read_system
    from tierlab.hwmodels.time.silicon.fit import FEWEST
    from tierlab.kernels.base.errors import BadInput

    if system is None:
        raise BadInput("--system", "is missing", ", ".join(DEVICES))
    parts = read_system(system, framework, version, tables)
    device = hardware or DEVICES.get(system)
    if device is None:
        raise BadInput("--hardware", f"{system!r} is no device that we know", "--hardware H")
    gpu = load_system(device, "--hardware").gpu
    kept = [p for p in parts if len(p) >= FEWEST]
    return gpu, kept, f"aiconfigurator --system {system} --framework {framework}"


def _own(source: str, hardware: str | None) -> tuple[Gpu, list[Measured], str]:
    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.roofline import Roofline, roofline_device
    from tierlab.hwmodels.time.silicon.tables import read_table
    from tierlab.kernels.base.errors import BadInput
    from tierlab.kernels.base.names import as_path, near
    from tierlab.simulator.cli.predict import read_frame

    path = as_path(source, (".parquet", ".csv"))
    if path is None:
        accepted = f"{near(source, SOURCES)} or a .parquet or .csv"
        raise BadInput("--from", f"unknown source {source!r}", accepted)
    if hardware is None:
        raise BadInput("--hardware", "is missing", "the device that was measured")
    gpu = load_system(hardware, "--hardware").gpu
    roofline = Roofline(roofline_device(gpu, None))
    parts = read_table(read_frame(path, "--from"), roofline, str(path))
    return gpu, parts, f"{path.name} --hardware {hardware}"
