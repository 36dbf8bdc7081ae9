"""One comparison, whatever is compared: what `tierlab compare` tells and draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.comparison import differences
from tierlab.simulator.comparison.compare import compare
from tierlab.simulator.comparison.measured import read_measured
from tierlab.simulator.comparison.overtime import clock_offset, over_time, with_again
from tierlab.simulator.comparison.served import Served
from tierlab.simulator.comparison.simulated import read_run
from tierlab.simulator.comparison.timeline import Timeline, read_timeline, run_timeline

SAMPLES = 300
"""Samples of two runs that nobody sampled."""


@dataclass(frozen=True, eq=False)
class Held:
    """Two sets of requests, their timelines if there are any, and what came out."""

    runs: tuple[Served, Served]
    lines: tuple[Timeline, Timeline] | None
    told: dict[str, Any]


def hold_measured(folder: Path, measured: Path, timeseries: Path | None) -> Held:
    """Hold a run against measurements.

    Raises
    ------
    BadInput
        Something cannot be read, or they are not the same requests.
    """
    theirs = read_measured(measured)
    ours = read_run(folder, theirs.queued)
    told = compare(ours, theirs)
    if timeseries is None:
        return Held((ours, theirs), None, told)
    sampled = read_timeline(timeseries)
    offset_s = clock_offset(sampled, theirs)
    sampled = sampled.shifted(offset_s)
    lines = run_timeline(folder, ours, sampled.times_s), sampled
    told["over_time"] = over_time(*lines, (ours, theirs), offset_s)
    return Held((ours, theirs), _told_by_counts(lines, (ours, theirs)), told)


def hold_runs(folder: Path, other: Path) -> Held:
    """Hold a run against another one, of the same requests.

    Raises
    ------
    BadInput
        A folder is no run directory, or they have not the same requests.
    """
    ours, theirs = read_run(folder), read_run(other)
    told = compare(ours, theirs)
    told["figures"] = differences.figures(folder, other)
    until_s = max(run.seconds() or 0.0 for run in (ours, theirs))
    if until_s <= 0.0:
        raise BadInput(str(folder), "the run takes no time", "a run with answers")
    times_s = np.linspace(0.0, until_s, SAMPLES + 1)[1:]
    lines = run_timeline(folder, ours, times_s), run_timeline(other, theirs, times_s)
    told["over_time"] = over_time(*lines, (ours, theirs), 0.0)
    named = _renamed(told) | {"settings": differences.settings(folder, other)}
    return Held((ours, theirs), _told_by_counts(lines, (ours, theirs)), named)


def _told_by_counts(
    lines: tuple[Timeline, Timeline], runs: tuple[Served, Served]
) -> tuple[Timeline, Timeline]:
    return with_again(lines[0], runs[0]), with_again(lines[1], runs[1])


def _renamed(told: Any) -> Any:
    """Call two runs the first and the second, all the way down."""
    if not isinstance(told, dict):
        return told
    return {
        key.replace("simulated", "first").replace("measured", "second"): _renamed(value)
        for key, value in told.items()
    }
