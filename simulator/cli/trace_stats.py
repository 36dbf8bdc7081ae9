"""``tierlab trace stats``: what is in a log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tierlab.simulator.cli import options, trace_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tierlab.traces.read import Reading
    from tierlab.traces.statistics.summary import KvModel


@click.command(
    "stats",
    epilog="""\b
Examples:
  tierlab trace stats conversation_trace.jsonl
  tierlab trace stats conversation_trace.jsonl --model Llama-3.1-70B -o stats.html
  tierlab trace stats log.csv --column arrival_s=ts --column input_tokens=prompt \\
      --column output_tokens=completion --json
""",
)
@trace_options.source
@click.option(
    "--model", default=None, metavar="M", help="Say sizes in bytes of this model's KV cache too."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE.html",
    help="Write a page with plots, which needs nothing but a browser.",
)
@options.as_json
def stats(
    trace: str,
    log_format: str | None,
    column_map: tuple[str, ...],
    seed: int,
    skip_bad: bool,
    model: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Say what the request log TRACE holds: lengths, arrivals, sessions, and how much is reused.

    Everything is told of the times as logged; only burstiness is told of arrivals spread over
    the ticks of a coarse clock.
    """
    kv = _kv_model(model)
    if output is not None:
        from tierlab.simulator.pages.document import check_page

        check_page(output.expanduser(), "-o")
    source = trace_options.Source(trace, log_format, column_map, seed, skip_bad)
    log = trace_options.read_log(source, jitter=False, as_json=as_json)
    from tierlab.traces.statistics.summary import measure, summary

    measured = measure(log.trace, kv, _spread_arrivals(log, seed))
    told = summary(measured) | trace_options.records(source, log)
    if output is not None:
        from tierlab.simulator.trace_report import write_page

        trace_options.make_folder(output.expanduser(), output)
        write_page(measured, told, output.expanduser())
    _print(told, as_json)


def _kv_model(name: str | None) -> KvModel | None:
    if name is None:
        return None
    from tierlab.kernels.models.kv import kv_bytes_per_token
    from tierlab.kernels.models.load import load_model
    from tierlab.traces.statistics.summary import KvModel

    found = load_model(name)
    return KvModel(found.name, kv_bytes_per_token(found))


def _spread_arrivals(log: Reading, seed: int) -> NDArray[np.float64]:
    """Return arrivals as other commands read them: spread if the format's clock is coarse."""
    if not log.ticked:
        return log.trace.arrival_s
    from tierlab.traces.jitter import spread

    return spread(log.trace.arrival_s, seed)


def _print(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        from tierlab.simulator.results.manifest import dump_json

        click.echo(dump_json(told))
        return
    from tierlab.simulator.cli.tables import table
    from tierlab.simulator.trace_tables import tables

    for made in tables(told):
        table(made.title, made.header, made.rows)
