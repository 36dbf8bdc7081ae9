"""``tierlab compare``: a run against measurements, or against another run."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)


@click.command(
    epilog="""\b
Examples:
  tierlab compare out/run1 --measured requests.jsonl
  tierlab compare out/run1 --measured vllm-bench.json --json
  tierlab compare out/run1 --measured requests.jsonl --timeseries stats.csv --plot both.html
  tierlab compare out/run1 out/run2
""",
)
@click.argument("folder", metavar="DIR", type=FILE)
@click.argument("other", metavar="[DIR2]", required=False, type=FILE)
@click.option(
    "--measured",
    metavar="FILE",
    type=FILE,
    help="Per-request measurements: vLLM bench JSON (--save-detailed), or JSON lines with "
    "queued_ts, scheduled_ts, first_token_ts, last_token_ts.",
)
@click.option(
    "--timeseries",
    metavar="FILE.csv",
    type=FILE,
    help="The measured engine over time: t, and any of running, waiting, gen_throughput, "
    "kv_cache_pct, preemptions.",
)
@click.option("--plot", metavar="FILE.html", type=FILE, help="Write a page with plots of both.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(
    folder: Path,
    other: Path | None,
    measured: Path | None,
    timeseries: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Hold the run in DIR against measurements of the same requests, or against the run in DIR2."""
    from tierlab.kernels.base.errors import BadInput
    from tierlab.simulator.cli.compare_table import print_comparison
    from tierlab.simulator.comparison.held import hold_measured, hold_runs
    from tierlab.simulator.results.manifest import dump_json

    if (other is None) == (measured is None):
        raise BadInput("compare", "one thing to compare with is needed", "--measured FILE or DIR2")
    if timeseries is not None and measured is None:
        raise BadInput("--timeseries", "a run has its own", "only beside --measured FILE")
    if plot is not None:
        from tierlab.simulator.pages.document import check_page

        check_page(plot, "--plot")
    if measured is not None:
        held, names = hold_measured(folder, measured, timeseries), ("simulated", "measured")
    else:
        held, names = hold_runs(folder, other or folder), ("first", "second")
    if plot is not None:
        from tierlab.simulator.comparison.page import write_page

        title = f"{held.told[names[0]]} against {held.told[names[1]]}"
        write_page(plot, title, names, held.runs, held.lines)
        click.echo(f"wrote {plot}", err=True)
    if as_json:
        click.echo(dump_json(held.told))
    else:
        print_comparison(held.told, names)
