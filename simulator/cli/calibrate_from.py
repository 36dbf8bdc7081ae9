"""The body of ``tierlab calibrate --from``: parameters from measured tables."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from tierlab.hwmodels.device import Gpu
    from tierlab.hwmodels.time.silicon.calibration import Calibration
    from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured

SOURCES = ("aiconfigurator",)


def calibrate_from(
    source: str,
    output: Path,
    *,
    system: str | None,
    framework: str = "vllm",
    version: str | None = None,
    tables: Path | None = None,
    ops: tuple[str, ...] = (),
    onto: Path | None = None,
    lacking: bool = False,
    hardware: str | None = None,
    points: int = 40000,
) -> None:
    """Fit kernel models to public tables and write a calibration file.

    Parameters
    ----------
    source
        One of `SOURCES`, the path of a table with the columns of ``predict`` and ``seconds``, or
        of a file of ``--device``, or of a folder with a profile.
    output
        The file, .json.
    system, framework, version
        Of the source; absent, `version` is the newest.
    tables
        The source's folder; absent, the installed package.
    ops
        Kernel models to fit; none: all that the source has.
    onto
        A calibration to add to; what is fitted again replaces its own.
    lacking
        Fit only what it has no kernel of: an operation in a pair of dtypes.
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

    from tierlab.hwmodels.time.silicon.calibration import Calibration, dump, load
    from tierlab.hwmodels.time.silicon.fit import Options, fit_all
    from tierlab.hwmodels.time.silicon.machine import machine_of
    from tierlab.kernels.base.errors import BadInput
    from tierlab.kernels.base.whole import write_whole
    from tierlab.simulator.cli.outputs import check_output

    check_output(output, (".json",))
    wanted = _wanted(ops)
    if source in SOURCES:
        gpu, parts, how = _public(system, framework, version, tables, hardware)
    else:
        gpu, parts, how = of_ones_own(source, hardware)
    base = load(onto, "--onto", gpu.name) if onto else None
    parts = [p for p in parts if p.key.op in wanted]
    if not parts:
        raise BadInput("--op", f"the source has none of {', '.join(wanted)}", "another")
    known = base.kernels if base else ()
    if lacking:
        parts = _lacking(parts, onto, {_kind(k.key) for k in known})
    fitted = fit_all(parts, machine_of(gpu), Options(points=points), _say, known)
    if not fitted:
        raise BadInput("--from", "no fit converged", "another --framework or --version")
    today = datetime.datetime.now(datetime.UTC).date()
    made = f"{today}: tierlab calibrate --from {how}"
    new = Calibration(gpu.name, made, tuple(fitted))
    text = dump(joined(base, new) if base else new)
    write_whole(output, lambda path: path.write_text(text, encoding="utf-8"), "-o")
    click.echo(f"{output}: {len(fitted)} kernels of {gpu.name}", err=True)


def _wanted(ops: tuple[str, ...]) -> list[str]:
    from tierlab.hwmodels.time.silicon.registry import KERNELS
    from tierlab.kernels.base.names import pick

    return [pick(op, {k: k for k in KERNELS}, "--op", "kernel model") for op in ops or KERNELS]


def _kind(key: KernelKey) -> tuple[str, str, str, bool]:
    return key.op, key.dtype, key.kv_dtype, key.windowed


def _lacking(
    parts: list[Measured], onto: Path | None, known: set[tuple[str, str, str, bool]]
) -> list[Measured]:
    from tierlab.kernels.base.errors import BadInput

    if onto is None:
        raise BadInput("--lacking", "without --onto", "a calibration to add to")
    found = [p for p in parts if _kind(p.key) not in known]
    if not found:
        raise BadInput("--lacking", f"{onto} has kernels of all that is asked", "another --op")
    return found


def joined(base: Calibration, new: Calibration) -> Calibration:
    """Return `base` with the kernels of `new`, which replace those of the same key."""
    from tierlab.hwmodels.time.silicon.calibration import Calibration

    keys = {k.key for k in new.kernels}
    kept = tuple(k for k in base.kernels if k.key not in keys)
    made = base.made if new.made in base.made else f"{base.made}; {new.made}"
    return Calibration(base.device, made, (*kept, *new.kernels))


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
    from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES
    from tierlab.hwmodels.time.silicon.fit import FEWEST
    from tierlab.hwmodels.time.silicon.others import read_public
    from tierlab.kernels.base.errors import BadInput

    if system is None:
        raise BadInput("--system", "is missing", ", ".join(DEVICES))
    parts = read_public(system, framework, version, tables)
    device = hardware or DEVICES.get(system)
    if device is None:
        raise BadInput("--hardware", f"{system!r} is no device that we know", "--hardware H")
    gpu = load_system(device, "--hardware").gpu
    kept = [p for p in parts if len(p) >= FEWEST]
    return gpu, kept, f"aiconfigurator --system {system} --framework {framework}"


def of_ones_own(source: str, hardware: str | None) -> tuple[Gpu, list[Measured], str]:
    """Return the device, the measurements of each kernel, and what to call the source.

    Parameters
    ----------
    source
        The path of a table, of a file of ``--device``, or of a folder with a profile.
    hardware
        Device of the catalogue or path of its TOML; a profile names its own.

    Raises
    ------
    BadInput
        The source or the device is unknown, or the source holds what no measurement can be.
    """
    if Path(source).is_dir():
        return _profile(Path(source), hardware)
    return _table(source, hardware)


def _profile(folder: Path, hardware: str | None) -> tuple[Gpu, list[Measured], str]:
    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.roofline import Roofline, roofline_device
    from tierlab.hwmodels.time.silicon.profiled import profiled_gpu, read_profile
    from tierlab.hwmodels.time.silicon.tables import check_part
    from tierlab.kernels.base.errors import BadInput

    named = profiled_gpu(folder, "--from")
    gpu = load_system(named.removeprefix("NVIDIA "), str(folder)).gpu
    if hardware is not None and load_system(hardware, "--hardware").gpu != gpu:
        raise BadInput("--hardware", f"{hardware!r}, but {folder} is of {named}", gpu.name)
    parts, roofline = read_profile(folder, "--from"), Roofline(roofline_device(gpu, None))
    for part in parts:
        check_part(part, roofline, str(folder))
    return gpu, parts, f"{folder.name} (a profile)"


def _table(source: str, hardware: str | None) -> tuple[Gpu, list[Measured], str]:
    from tierlab.hwmodels.catalogue import load_system
    from tierlab.hwmodels.time.roofline import Roofline, roofline_device
    from tierlab.hwmodels.time.silicon.tables import read_table
    from tierlab.kernels.base.errors import BadInput
    from tierlab.kernels.base.names import as_path, near
    from tierlab.simulator.cli.predict import read_frame

    path = as_path(source, (".parquet", ".csv", ".json"))
    if path is None:
        accepted = f"{near(source, SOURCES)}, a .parquet, .csv or .json, or a profile's folder"
        raise BadInput("--from", f"unknown source {source!r}", accepted)
    if hardware is None:
        raise BadInput("--hardware", "is missing", "the device that was measured")
    gpu = load_system(hardware, "--hardware").gpu
    roofline = Roofline(roofline_device(gpu, None))
    frame = _measured(path) if path.suffix == ".json" else read_frame(path, "--from")
    parts = read_table(frame, roofline, str(path))
    return gpu, parts, f"{path.name} --hardware {hardware}"


def _measured(path: Path) -> pl.DataFrame:
    """Return what a file of ``--device`` says of the operations that have a kernel model."""
    from collections import Counter

    import polars as pl

    from tierlab.hwmodels.time.measuredjson import operation_rows
    from tierlab.hwmodels.time.silicon.fit import FEWEST
    from tierlab.hwmodels.time.silicon.registry import KERNELS
    from tierlab.kernels.base.errors import BadInput
    from tierlab.kernels.measure.output import load
    from tierlab.kernels.ops.table import COLUMNS

    rows = [r for r in operation_rows(load(path, "--from")[1]) if r["op"] in KERNELS]
    counts = Counter((r["op"], r.get("kv_dtype")) for r in rows)
    kept = [r for r in rows if counts[r["op"], r.get("kv_dtype")] >= FEWEST]
    for (op, stored), count in counts.items():
        if count < FEWEST:
            _say(f"{op} {stored or ''}: {count} rows are too few for a fit, left out")
    if not kept:
        raise BadInput(str(path), f"no kernel has {FEWEST} rows", "a run without --quick")
    names = ("op", "dtype", "kv_dtype", "kernel", *COLUMNS, "seconds")
    return pl.DataFrame({n: [r.get(n) for r in kept] for n in names if any(n in r for r in kept)})
