"""What the commands of ``tierlab trace`` have in common: naming a log, and writing one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tierlab.kernels.base.errors import BadInput

if TYPE_CHECKING:
    from tierlab.traces.read import Reading
    from tierlab.traces.schema import Trace

F = TypeVar("F", bound=Callable[..., Any])

_SOURCE = (
    click.argument("trace"),
    click.option("--format", "log_format", default=None, help="Log format; detected when absent."),
    click.option(
        "--column",
        "column_map",
        multiple=True,
        metavar="OURS=THEIRS",
        help="Column of a generic log. Repeatable.",
    ),
    click.option("--seed", default=0, show_default=True, help="Of the jitter of coarse clocks."),
    click.option(
        "--skip-bad",
        is_flag=True,
        help="Leave malformed records out; count and list them on stderr, all of them in --json.",
    ),
)

force = click.option("--force", is_flag=True, help="Overwrite a file that is no tierlab trace.")


def source(command: F) -> F:
    """Add the argument TRACE and how it is read."""
    for option in reversed(_SOURCE):
        command = option(command)
    return command


@dataclass(frozen=True)
class Source:
    """The log that a command line names, and how it is read."""

    trace: str
    log_format: str | None
    column_map: Sequence[str]
    seed: int
    skip_bad: bool = False


def read_log(source: Source, *, jitter: bool = True, as_json: bool = False) -> Reading:
    """Read a log with progress; tell on stderr what was left out, as failed or malformed.

    Parameters
    ----------
    jitter
        Whether arrivals on a coarse clock are spread.
    as_json
        The tally is to be printed as JSON: it keeps all malformed records.

    Raises
    ------
    BadInput
        The log or an option is not as it should be.
    """
    from tierlab.simulator.cli.progress import progress
    from tierlab.traces import read

    columns = dict(_column(pair) for pair in source.column_map)
    with progress("reading", "B") as bar:
        found = read.read_log(
            source.trace,
            source.log_format,
            columns=columns,
            seed=source.seed,
            jitter=jitter,
            skip_bad=source.skip_bad,
            keep_all=as_json,
            progress=bar,
        )
    for note in found.tally.notes(source.trace):
        click.echo(note, err=True)
    return found


def records(source: Source, found: Reading) -> dict[str, Any]:
    """Return what ``--json`` adds with ``--skip-bad``: the key `records`."""
    return {"records": found.tally.to_json()} if source.skip_bad else {}


def _column(pair: str) -> tuple[str, str]:
    ours, equals, theirs = pair.partition("=")
    if not equals or not ours.strip() or not theirs.strip():
        raise BadInput("--column", f"{pair!r} is not OURS=THEIRS", "e.g. arrival_s=ts")
    return ours.strip(), theirs.strip()


def check_output(output: Path, force: bool) -> None:
    """Refuse to overwrite what is no tierlab trace.

    Raises
    ------
    BadInput
        As said, or the place is a folder.
    """
    target = output.expanduser()
    if target.is_dir():
        raise BadInput("-o", f"{output} is a folder", "a path to a .parquet file")
    if target.exists() and not force and not _is_trace(target):
        raise BadInput("-o", f"{output} is there and no tierlab trace", "another path, or --force")


def _is_trace(path: Path) -> bool:
    from tierlab.traces.readers.tierlab import PARQUET_MAGIC, READER

    try:
        with path.open("rb") as file:
            head = file.read(len(PARQUET_MAGIC))
    except OSError:
        return False
    return READER.detect(head, path)


def write_output(trace: Trace, output: Path) -> int:
    """Write a trace, making its folder if there is none; return the file's bytes.

    Raises
    ------
    BadInput
        The place cannot be written.
    """
    from tierlab.traces.write import write_trace

    target = output.expanduser()
    make_folder(target, output)
    write_trace(trace, target, "-o")
    return target.stat().st_size


def make_folder(target: Path, named: Path) -> None:
    """Make the folder that `target` stands in.

    Raises
    ------
    BadInput
        It cannot be made.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot write {named}: {error.strerror or error}"
        raise BadInput("-o", what, "a path in a folder that can be written") from None
