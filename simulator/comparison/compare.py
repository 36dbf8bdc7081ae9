"""Two sets of served requests side by side: means, quantiles, and request by request."""

from __future__ import annotations

from typing import Any

import numpy as np

from tierlab.simulator.comparison.match import match, unlike
from tierlab.simulator.comparison.served import METRICS, Floats, Served
from tierlab.simulator.metrics.quantiles import spread


def compare(ours: Served, theirs: Served) -> dict[str, Any]:
    """Return figures of both, and how far the first is from the second.

    Latencies are of the requests that both answered, rates of all of each.

    Raises
    ------
    BadInput
        They are not the same requests.
    """
    one, other = match(ours, theirs)
    a, b = ours.take(one), theirs.take(other)
    return {
        "simulated": ours.name,
        "measured": theirs.name,
        "requests": len(a),
        "only_simulated": len(ours) - len(a),
        "only_measured": len(theirs) - len(b),
        "lengths_differ": unlike(a, b),
        "counted_from": "queued" if theirs.queued else "arrival",
        "latency": _latencies(a, b),
        "rate": _rates(ours, theirs),
    }


def pair(ours: float | None, theirs: float | None) -> dict[str, float | None]:
    """Return two figures and the relative error of the first; None where one is not known."""
    error = ours / theirs - 1.0 if ours is not None and theirs else None
    return {"simulated": ours, "measured": theirs, "error": error}


def _latencies(ours: Served, theirs: Served) -> dict[str, Any]:
    found = {
        key: _latency(ours.latencies[key], theirs.latencies[key])
        for key in METRICS
        if key in ours.latencies and key in theirs.latencies
    }
    if ours.itl is not None and theirs.itl is not None:
        marks = {mark: pair(ours.itl[mark], theirs.itl[mark]) for mark in theirs.itl}
        found["itl_s"] = {**marks, "median_request_error": None}
    return found


def _latency(ours: Floats, theirs: Floats) -> dict[str, Any]:
    """Compare one latency: its mean and quantiles, and the errors of single requests."""
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    one, other = spread(ours[both]), spread(theirs[both])
    marks = {mark: pair(one[mark], other[mark]) for mark in one}
    known = both & (theirs > 0)
    errors = np.abs(ours[known] / theirs[known] - 1.0)
    return {**marks, "median_request_error": float(np.median(errors)) if len(errors) else None}


def _rates(ours: Served, theirs: Served) -> dict[str, Any]:
    """Compare totals over the time from the first arrival to the last token."""
    spans = ours.seconds(), theirs.seconds()

    def over(totals: tuple[float, float]) -> dict[str, float | None]:
        rates = (t / span if span else None for t, span in zip(totals, spans, strict=True))
        return pair(*rates)

    return {
        "seconds": pair(*spans),
        "requests_per_s": over((len(ours), len(theirs))),
        "output_tokens_per_s": over(
            (float(ours.output_tokens.sum()), float(theirs.output_tokens.sum()))
        ),
    }
