"""``tierlab report``: runs and sweeps as one page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  tierlab report out/run -o run.html
  tierlab report out/hbm out/dram out/ssd -o designs.html
  tierlab report out/sweep -o sweep.html
""",
)
@click.argument(
    "folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    metavar="FILE.html",
    required=True,
    type=click.Path(path_type=Path),
    help="Where the page goes. It needs nothing but a browser.",
)
def report(folders: tuple[Path, ...], output: Path) -> None:
    """Write one page of the runs and sweeps in DIR..., the first run as the baseline."""
    from tierlab.simulator.pages.document import check_page, write_page
    from tierlab.simulator.report.read import read_folders

    check_page(output, "-o")
    runs, sweeps = read_folders(folders)
    from tierlab.simulator.report.page import page

    write_page(page(runs, sweeps), output, "-o")
    click.echo(f"wrote {output}", err=True)
