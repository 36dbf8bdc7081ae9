"""A run over time beside the measured engine: how they differ, and what the counts give away.

vLLM's statistics say how many run and wait, not who. Beside the requests' own timestamps they say
more: whoever waits but was scheduled before was preempted, and a change of the running ones that
neither first schedules nor ends explain is preemptions less resumptions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tierlab.simulator.comparison.compare import pair
from tierlab.simulator.comparison.served import Floats, Served
from tierlab.simulator.comparison.timeline import SERIES, Timeline

AGAIN = {"again": "requests waiting after a preemption"}
"""A series that is not sampled, but told by the counts."""
WINDOWS = (1, 5, 10)
"""Samples over which rates are averaged before they are compared."""
MOST_SHIFT_S, SHIFT_STEP_S = 2.0, 0.02


def clock_offset(timeline: Timeline, served: Served) -> float:
    """Return what to add to the timeline's clock to have the requests' (s); 0 if not known.

    Running and waiting together must be those that came and did not go yet. The offset is the
    middle of those under which fewest samples disagree.
    """
    if served.entered_s is None or served.ends_s is None or not _counted(timeline):
        return 0.0
    present = timeline.series["running"] + timeline.series["waiting"]
    shifts = np.arange(-MOST_SHIFT_S, MOST_SHIFT_S + SHIFT_STEP_S / 2, SHIFT_STEP_S)
    entered, ends = np.sort(served.entered_s), np.sort(served.ends_s)
    wrong = np.array(
        [np.abs(_between(entered, ends, timeline.times_s + s) - present).sum() for s in shifts]
    )
    return float(np.round(shifts[wrong == wrong.min()].mean(), 3))


def again(timeline: Timeline, served: Served) -> Floats:
    """Return how many wait at each sample that were scheduled before, float64[n].

    Estimated from counts; requests that are taken in as a sample is taken make it err by a few.
    """
    begun = _entered(served) + served.latencies["queue_s"]
    fresh = _between(np.sort(_entered(served)), np.sort(begun), timeline.times_s)
    return np.maximum(timeline.series["waiting"] - fresh, 0.0)


def with_again(timeline: Timeline, served: Served) -> Timeline:
    """Return the timeline with the series `AGAIN`, where the counts tell it."""
    if not _tells(timeline, served):
        return timeline
    return replace(timeline, series={**timeline.series, "again": again(timeline, served)})


def preemptions_by_counts(timeline: Timeline, served: Served) -> int:
    """Return how many preemptions the samples show.

    Fewer than there were, because those made up for within one interval cancel. Where samples are
    not much longer than a step, whoever changes state at one is miscounted: use longer ones.
    """
    if served.ends_s is None:
        raise ValueError("requests without a clock")
    at = timeline.times_s
    begun = np.sort(_entered(served) + served.latencies["queue_s"])
    net = np.diff(timeline.series["running"]) + np.diff(_upto(np.sort(served.ends_s), at))
    net -= np.diff(_upto(begun, at))
    return int(-net[net < 0].sum())


def over_time(
    ours: Timeline, theirs: Timeline, runs: tuple[Served, Served], offset_s: float
) -> dict[str, Any]:
    """Compare two timelines with samples at the same times, and what they give away."""
    found: dict[str, Any] = {
        "samples": len(theirs.times_s),
        "clock_offset_s": offset_s,
        "series": {
            name: _level(ours.series[name], theirs.series[name])
            for name in SERIES
            if name in theirs.series and name != "preemptions"
        },
    }
    if "gen_throughput" in theirs.series:
        rates = ours.series["gen_throughput"], theirs.series["gen_throughput"]
        found["gen_throughput"] = generation(*rates)
    found["preemptions"] = _preemptions(ours, theirs, runs)
    return found


def generation(ours: Floats, theirs: Floats) -> dict[str, Any]:
    """Compare tokens per second sample by sample, in windows, and as a whole.

    Returns
    -------
    dict
        ``median``: the median sample of each. ``median_error``: number of samples in a window ->
        median over windows of the relative error. ``neighbours``: the measured rate's median
        change from one sample to the next.
    """
    errors = {}
    for window in WINDOWS:
        one, other = _means(ours, window), _means(theirs, window)
        known = other > 0
        errors[str(window)] = _median(np.abs(one[known] / other[known] - 1.0))
    before, after = theirs[:-1], theirs[1:]
    steps = np.abs(after[before > 0] / before[before > 0] - 1.0)
    return {
        "median": pair(float(np.median(ours)), float(np.median(theirs))),
        "median_error": errors,
        "neighbours": _median(steps),
    }


def _preemptions(
    ours: Timeline, theirs: Timeline, runs: tuple[Served, Served]
) -> dict[str, float | None]:
    known = theirs.series.get("preemptions")
    counted = float(ours.series["preemptions"].max())
    found = pair(counted, None if known is None else float(known.max()))
    if _tells(ours, runs[0]) and _tells(theirs, runs[1]):
        found["simulated_by_counts"] = preemptions_by_counts(ours, runs[0])
        found["measured_by_counts"] = preemptions_by_counts(theirs, runs[1])
        found["simulated_again"] = float(again(ours, runs[0]).mean())
        found["measured_again"] = float(again(theirs, runs[1]).mean())
    return found


def _level(ours: Floats, theirs: Floats) -> dict[str, Any]:
    means = pair(float(ours.mean()), float(theirs.mean()))
    return {**means, "mean_difference": float(np.abs(ours - theirs).mean())}


def _means(values: Floats, window: int) -> Floats:
    whole = len(values) // window * window
    out: Floats = values[:whole].reshape(-1, window).mean(axis=1)
    return out


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if len(values) else None


def _counted(timeline: Timeline) -> bool:
    return {"running", "waiting"} <= set(timeline.series)


def _tells(timeline: Timeline, served: Served) -> bool:
    known = served.entered_s is not None and served.ends_s is not None
    return known and _counted(timeline) and "queue_s" in served.latencies


def _entered(served: Served) -> Floats:
    if served.entered_s is None:
        raise ValueError("requests without a clock")
    return served.entered_s


def _upto(times: Floats, at: Floats) -> Floats:
    return np.searchsorted(times, at, side="right").astype(np.float64)


def _between(begins: Floats, ends: Floats, at: Floats) -> Floats:
    return _upto(begins, at) - _upto(ends, at)
