"""``tierlab trace convert``: any log to tierlab's Parquet, with smaller blocks if asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tierlab.simulator.cli import options, trace_options

if TYPE_CHECKING:
    from tierlab.traces.schema import Trace


@click.command(
    "convert",
    epilog="""\b
Examples:
  tierlab trace convert conversation_trace.jsonl -o mooncake.parquet
  tierlab trace convert conversation_trace.jsonl --block-tokens 16 -o mooncake16.parquet
  tierlab trace convert log.csv --column arrival_s=ts --column input_tokens=prompt \\
      --column output_tokens=completion -o log.parquet --json
""",
)
@trace_options.source
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Parquet to write; a tierlab trace that is there already is overwritten.",
)
@click.option(
    "--block-tokens",
    type=int,
    default=None,
    metavar="N",
    help="Cut prefix blocks into smaller ones: a divisor of the log's own.",
)
@click.option("--no-jitter", is_flag=True, help="Keep arrivals on the ticks of a coarse clock.")
@trace_options.force
@options.as_json
def convert(
    trace: str,
    log_format: str | None,
    column_map: tuple[str, ...],
    seed: int,
    skip_bad: bool,
    output: Path,
    block_tokens: int | None,
    no_jitter: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write the request log TRACE as Parquet that reads back without loss.

    Arrivals on a coarse clock are spread over its tick by --seed, as every command reads them.
    """
    trace_options.check_output(output, force)
    source = trace_options.Source(trace, log_format, column_map, seed, skip_bad)
    found = trace_options.read_log(source, jitter=not no_jitter, as_json=as_json)
    log = found.trace
    if block_tokens is not None:
        from tierlab.traces.reblock import reblock

        log = reblock(log, block_tokens)
    written_bytes = trace_options.write_output(log, output)
    written = {"output": str(output), "output_bytes": written_bytes}
    told = trace_options.records(source, found) if as_json else {}
    report(described(log) | written | told, as_json)


def described(log: Trace) -> dict[str, Any]:
    """Return what a trace holds, in a few numbers."""
    return {
        "trace": log.name,
        "requests": len(log),
        "sessions": log.sessions,
        "block_tokens": log.block_tokens,
        "block_references": int(log.run_count.sum()),
        "block_runs": len(log.run_count),
        "origin_sha256": log.source_sha256,
    }


def report(made: dict[str, Any], as_json: bool) -> None:
    """Print what was written."""
    if as_json:
        from tierlab.simulator.results.manifest import dump_json

        click.echo(dump_json(made))
        return
    from tierlab.simulator.cli.tables import pairs

    rows = [(key.replace("_", " "), _text(value)) for key, value in made.items() if value != ""]
    pairs(f"{made['trace']}", rows[1:])


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
