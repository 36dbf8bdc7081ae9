"""What a copy would take now, without simulating it."""

from __future__ import annotations

import math

from tierlab.simulator.network.route import Cost, Route
from tierlab.simulator.network.state import (
    BOUND,
    FLOWING,
    FLOWS,
    LATENT,
    LOAD,
    NEXT,
    PHASE,
    RATE,
    REMAINING,
    SLOT_HEAD,
    State,
)
from tierlab.simulator.network.stream import Stream


def wait_s(state: State, stream: Stream | None, priority: int, now_s: float) -> float:
    """Return when a stream would reach one more copy: its head's rest, and who waits ahead."""
    if stream is None or stream.head is None:
        return 0.0
    return _rest_s(state, stream, now_s) + stream.backlog_s(priority)


def _rest_s(state: State, stream: Stream, now_s: float) -> float:
    """Return how much longer a head moves: at its present rate, or alone if it is yet to flow."""
    row = state.slot[stream.slot]
    rest_s = float(row[NEXT]) - now_s
    if state.path[stream.slot, PHASE] == LATENT:
        rest_s += float(row[REMAINING] / row[BOUND])
    return max(rest_s, 0.0)


def left_bytes_per_s(state: State, route: Route, cost: Cost, stream: Stream | None) -> float:
    """Return the rate that the heads of other streams leave to one more copy.

    Of each constraint it gets what is free, or an equal part if that is more; its own stream's
    head will be gone.
    """
    gone = _load(state, stream)
    rate = math.inf
    for r, weight, capacity in zip(route.at, cost.weights, route.capacities, strict=True):
        others = int(state.tally[r, FLOWS]) - (r in gone)
        free = capacity - float(state.rule[r, LOAD]) + gone.get(r, 0.0)
        if weight > 0:
            rate = min(rate, max(free, capacity / (others + 1)) / weight)
    return rate


def _load(state: State, stream: Stream | None) -> dict[int, float]:
    """Return the constraints that a stream's head flows through, with what it takes of each."""
    if stream is None or state.path[stream.slot, PHASE] != FLOWING:
        return {}
    row = state.slot[stream.slot]
    weights = row[SLOT_HEAD : SLOT_HEAD + len(stream.laid)] * row[RATE]
    return dict(zip(stream.laid, weights.tolist(), strict=True))
