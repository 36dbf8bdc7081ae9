"""Two sets of served requests side by side: means, quantiles, and request by request."""

from __future__ import annotations

from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.comparison.served import METRICS, Floats, Served
from tierlab.simulator.metrics.quantiles import spread

MOST_UNLIKE = 0.05
"""Share of requests whose lengths may differ: more, and the two served different requests."""
BIN_S = 1.0


def compare(ours: Served, theirs: Served) -> dict[str, Any]:
    """Return figures of both, and how far the first is from the second.

    Requests are matched in the order of arrival.

    Raises
    ------
    BadInput
        They are not the same requests.
    """
    unlike = _check_alike(ours, theirs)
    found: dict[str, Any] = {
        "simulated": ours.name,
        "measured": theirs.name,
        "requests": len(theirs),
        "lengths_differ": unlike,
        "counted_from": "queued" if theirs.queued else "arrival",
        "latency": {
            key: _latency(ours.latencies[key], theirs.latencies[key])
            for key in METRICS
            if key in ours.latencies and key in theirs.latencies
        },
    }
    rates = ours.rate_per_s(), theirs.rate_per_s()
    found["output_tokens_per_s"] = _pair(*rates)
    found["output_tokens_each_second"] = _each_second(ours, theirs)
    return found


def _check_alike(ours: Served, theirs: Served) -> int:
    """Return how many requests differ in length; refuse if they are others altogether."""
    if len(ours) != len(theirs):
        what = f"{len(ours)} requests were answered, but {len(theirs)} in {theirs.name}"
        raise BadInput(ours.name, what, "a run of the requests that were measured")
    differ = (ours.input_tokens != theirs.input_tokens) | (
        ours.output_tokens != theirs.output_tokens
    )
    unlike = int(differ.sum())
    if unlike > MOST_UNLIKE * len(theirs):
        at = int(differ.argmax())
        what = f"{unlike} of {len(theirs)} requests have other lengths, the first is number {at}"
        raise BadInput(ours.name, what, "a run of the requests that were measured")
    return unlike


def _latency(ours: Floats, theirs: Floats) -> dict[str, Any]:
    """Compare one latency: its mean and quantiles, and the errors of single requests."""
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    one, other = spread(ours[both]), spread(theirs[both])
    marks = {mark: _pair(one[mark], other[mark]) for mark in one}
    known = both & (theirs > 0)
    errors = np.abs(ours[known] / theirs[known] - 1.0)
    median = float(np.median(errors)) if len(errors) else None
    return {**marks, "median_request_error": median}


def _pair(ours: float | None, theirs: float | None) -> dict[str, float | None]:
    error = ours / theirs - 1.0 if ours is not None and theirs else None
    return {"simulated": ours, "measured": theirs, "error": error}


def _each_second(ours: Served, theirs: Served) -> dict[str, Any] | None:
    """Compare the tokens emitted in each second, as far as requests' own times tell.

    A request's tokens are taken to be evenly spaced from its first to its last.
    """
    if ours.ends_s is None or theirs.ends_s is None:
        return None
    until = float(min(ours.ends_s.max(), theirs.ends_s.max()))
    edges = np.arange(0.0, until, BIN_S)
    one, other = _tokens(ours, ours.ends_s, edges), _tokens(theirs, theirs.ends_s, edges)
    known = other > 0
    if not known.any():
        return None
    errors = np.abs(one[known] / other[known] - 1.0)
    return {"seconds": int(known.sum()), "median_error": float(np.median(errors))}


def _tokens(served: Served, ends_s: Floats, edges: Floats) -> Floats:
    """Return the tokens between consecutive edges, float64[len(edges) - 1]."""
    first = ends_s - (served.latencies["e2e_s"] - served.latencies["ttft_s"])
    span = np.maximum(ends_s - first, 1e-9)
    total = np.zeros(len(edges))
    for begin, length, tokens in zip(first, span, served.output_tokens, strict=True):
        total += tokens * np.clip((edges - begin) / length, 0.0, 1.0)
    return np.diff(total)
