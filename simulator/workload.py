"""The requests of a scenario: a log read, or a generator run, then cut and scaled."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.scenario.schema import WorkloadSection
from tierlab.traces.read import Reading, read_log
from tierlab.traces.schema import Trace
from tierlab.traces.synth.registry import generate
from tierlab.traces.tally import Tally

KEPT_LOGS = 8
_TALLIES: dict[str, Tally] = {}
_KEPT: dict[tuple[object, ...], Reading] = {}
_keeps = [False]


def keep_logs() -> None:
    """From now on, read a log that did not change once in this process: points share it."""
    _keeps[0] = True


def load_workload(section: WorkloadSection, seed: int) -> Trace:
    """Return the trace that a ``[workload]`` names.

    What was left out of a log, as failed or malformed, is told on stderr, once a process.

    Raises
    ------
    BadInput
        The log cannot be read, or the generator or one of its parameters does not exist.
    """
    if section.trace is not None:
        trace = _read(section, section.trace, seed)
    else:
        name = section.generator or ""
        trace = generate(name, seed, dict(section.parameters), where="workload.generator")
    if section.sessions is not None:
        trace = trace.take(_of_first_sessions(trace, section.sessions))
    if section.limit is not None:
        trace = trace.take(np.arange(min(section.limit, len(trace))))
    if section.arrival_scale != 1.0:
        trace = replace(trace, arrival_s=trace.arrival_s * section.arrival_scale)
    return trace


def _of_first_sessions(trace: Trace, number: int) -> NDArray[np.bool_]:
    """Return which requests are of the sessions that begin first."""
    _, begins = np.unique(trace.session, return_index=True)
    return np.isin(trace.session, np.argsort(begins, kind="stable")[:number])


def _read(section: WorkloadSection, path: str, seed: int) -> Trace:
    found = _kept(section, path, seed) if _keeps[0] else _reading(section, path, seed)
    for note in found.tally.notes(path):
        _tell(note)
    _TALLIES[path] = found.tally
    return found.trace


def _reading(section: WorkloadSection, path: str, seed: int) -> Reading:
    return read_log(
        path,
        section.format,
        where="workload.trace",
        columns=section.columns or None,
        seed=seed,
        skip_bad=section.skip_bad,
        keep_all=section.skip_bad,
    )


def _kept(section: WorkloadSection, path: str, seed: int) -> Reading:
    """Return a log from memory; the latest `KEPT_LOGS` are there."""
    key = (path, _stamp(path), section.format, repr(section.columns), seed, section.skip_bad)
    if key not in _KEPT:
        while len(_KEPT) >= KEPT_LOGS:
            del _KEPT[next(iter(_KEPT))]
        _KEPT[key] = _reading(section, path, seed)
    return _KEPT[key]


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def records(section: WorkloadSection) -> dict[str, Any]:
    """Return what a summary adds with ``workload.skip_bad``: the key `records`.

    Of the last time that the log was read in this process.
    """
    if section.trace is None or not section.skip_bad:
        return {}
    return {"records": _TALLIES[section.trace].to_json()}


@cache
def _tell(note: str) -> None:
    sys.stderr.write(f"{note}\n")
