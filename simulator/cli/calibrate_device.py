"""The body of ``tierlab calibrate --device``: what this machine really does."""

from __future__ import annotations

from pathlib import Path


def calibrate_device(
    device: str,
    output: Path,
    *,
    quick: bool = False,
    files: Path | None = None,
    budget_s: float | None = None,
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    hardware: str | None = None,
) -> None:
    """Measure a device into a file.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda:N``.
    output
        The file, .json.
    quick, files, budget_s, only, skip
        See `tierlab.kernels.measure.measure.Request`.
    hardware
        What the device is in the catalogue, by name or path; tables of times need it.

    Raises
    ------
    BadInput
        There is no such device, or a file cannot be written.
    """
    import click

    from tierlab.hwmodels.catalogue import load_system
    from tierlab.kernels.measure.figures import figures, written
    from tierlab.kernels.measure.measure import Interrupted, Request, measure
    from tierlab.simulator.cli.progress import progress

    name = load_system(hardware, "--hardware").gpu.name if hardware else None
    request = Request(device, output, quick, files, only, skip, name, budget_s)
    try:
        with progress("measuring", "measurements") as report:
            found = measure(request, report, lambda line: click.echo(line, err=True))
    except Interrupted as stop:
        click.echo(f"tierlab: {stop}", err=True)
        raise click.exceptions.Exit(130) from None
    for figure, value in figures(found.rows).items():
        click.echo(written(figure, value))
    click.echo(f"{output}: {len(found.rows)} rows", err=True)
