"""The requests of a scenario: a log read, or a generator run, then cut and scaled."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from tierlab.simulator.scenario.schema import WorkloadSection
from tierlab.traces.read import read_log
from tierlab.traces.schema import Trace
from tierlab.traces.synth.registry import generate
from tierlab.traces.tally import Tally

_TALLIES: dict[str, Tally] = {}


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
    if section.limit is not None:
        trace = trace.take(np.arange(min(section.limit, len(trace))))
    if section.arrival_scale != 1.0:
        trace = replace(trace, arrival_s=trace.arrival_s * section.arrival_scale)
    return trace


def _read(section: WorkloadSection, path: str, seed: int) -> Trace:
    found = read_log(
        path,
        section.format,
        where="workload.trace",
        columns=section.columns or None,
        seed=seed,
        skip_bad=section.skip_bad,
        keep_all=section.skip_bad,
    )
    for note in found.tally.notes(path):
        _tell(note)
    _TALLIES[path] = found.tally
    return found.trace


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
