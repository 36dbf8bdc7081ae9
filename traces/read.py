"""A file to a trace: opens it, finds its format, reads it as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, pick
from tierlab.traces import own
from tierlab.traces.assemble import assemble
from tierlab.traces.log import Log, Progress
from tierlab.traces.readers import registry
from tierlab.traces.readers.protocol import Options, Reader
from tierlab.traces.schema import Trace
from tierlab.traces.tally import Tally


@dataclass(frozen=True, eq=False)
class Reading:
    """A trace, what became of the records of its log, and whether its clock is coarse."""

    trace: Trace
    tally: Tally
    ticked: bool = False


def read_trace(
    path: str,
    format: str | None = None,
    where: str = "TRACE",
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
    *,
    jitter: bool = True,
    progress: Progress | None = None,
) -> Trace:
    """Read a log of requests: plain, gzip or zstd, whatever its name says.

    What the format excludes, as failed requests, is left out without a word: `read_log` tells.

    Parameters
    ----------
    path
        The log.
    format
        A name from `tierlab.traces.readers.registry.READERS`, or a path to one's own Python file
        that defines ``READER``; None: the first reader that recognises the log.
    where
        The option or key that named the log, for errors.
    columns
        Schema column -> the log's column, e.g. ``{"arrival_ms": "ts"}``; read by `generic`.
    seed
        Of the jitter.
    jitter
        Whether arrivals on a coarse clock are spread over its tick (`tierlab.traces.jitter`).
    progress
        Called with (bytes done, bytes of the file).

    Raises
    ------
    BadInput
        The log cannot be read, its format is unknown, or a line of it is no valid request.
    """
    return read_log(path, format, where, columns, seed, jitter=jitter, progress=progress).trace


def read_log(
    path: str,
    format: str | None = None,
    where: str = "TRACE",
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
    *,
    jitter: bool = True,
    skip_bad: bool = False,
    keep_all: bool = False,
    progress: Progress | None = None,
) -> Reading:
    """Read a log of requests and tell what became of its records.

    Parameters
    ----------
    skip_bad
        Leave malformed records out, counted in the tally, instead of stopping at the first. A
        file that is damaged as a whole (compressed data cut short) still stops the reading.
    keep_all
        Keep the error of every skipped record in the tally, not of the first few.
    path, format, where, columns, seed, jitter, progress
        As in `read_trace`.

    Raises
    ------
    BadInput
        As `read_trace`; with `skip_bad` also where no sound record is left.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise BadInput("--seed", f"{seed!r} is no seed", "an integer of 0 or more")
    log = Log(path, where, progress, Tally(skip_bad, keep_all))
    options = Options(dict(columns or {}), seed, jitter)
    if file := format and as_path(format, (".py",)):
        return _read_own(log, file, options)
    reader = _choose(log, format, bool(columns))
    return Reading(assemble(log, reader, options), log.tally, reader.ticked)


def _read_own(log: Log, file: Path, options: Options) -> Reading:
    """Read with a user's reader, whose failures are told as the user's, with file and line."""
    reader: Reader = own.load(file, "READER", Reader, "--format")
    try:
        return Reading(assemble(log, reader, options), log.tally, reader.ticked)
    except Exception as error:
        raise own.failure(file, error) from error


def _choose(log: Log, format: str | None, mapped: bool) -> Reader:
    if format is None:
        return registry.load("generic") if mapped else _detect(log)
    name = pick(format, {known: known for known in registry.READERS}, "--format", "trace format")
    reader = registry.load(name)
    if mapped and not reader.mapped:
        raise BadInput("--format", f"{name} takes no column map", "generic")
    return reader


def _detect(log: Log) -> Reader:
    for name in registry.READERS:
        reader = registry.load(name)
        if reader.detect(log.head, log.path):
            return reader
    known = ", ".join(registry.READERS)
    accepted = f"--format with one of {known}, a path to your own reader, or a column map"
    raise BadInput(str(log.path), f"no known trace format: it begins {_beginning(log)}", accepted)


def _beginning(log: Log) -> str:
    line = log.head[:200].split(b"\n", 1)[0][:60]
    text = line.decode("ascii", "replace").strip()
    return repr(text) if text and text.isprintable() and line.isascii() else f"with {line[:12]!r}"
