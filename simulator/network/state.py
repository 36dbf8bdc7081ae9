"""The arrays that hold all flows: slots (heads of streams), constraints, and logs of load."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEXT, REMAINING, RATE, BOUND, SINCE, NEW = range(6)
"""Columns of `State.slot`, the weights follow: time of the next event, bytes left at `SINCE`,
bytes/s, the rate alone, s, and the rate just computed."""
PHASE, WIDTH, MEMBER = range(3)
"""Columns of `State.path`, the constraints follow: phase, how many constraints, a mark."""
IDLE, LATENT, FLOWING, TIMED = range(4)
"""Phases. `TIMED` ends at its next event and shares nothing: no bytes, or no bound."""
CAPACITY, DEMAND, LOAD, CARRIED, AS_OF, BUSY, FREE, OPEN, LEVEL = range(9)
"""Columns of `State.rule`: units/s, sum of bounds, sum of rates, units carried as of `AS_OF`,
seconds with a flow; and, while filling, what is free, the weight to raise, and the level."""
FLOWS, DIRTY, RAISING = range(3)
"""Columns of `State.tally`: flows, whether rates must be computed again, flows still rising."""
SLOT_HEAD, PATH_HEAD = 6, 3


class State(NamedTuple):
    """Everything that flows: s slots, r constraints, at most k of them on a path.

    Attributes
    ----------
    slot
        float64[s, 6 + k].
    path
        int64[s, 3 + k].
    rule
        float64[r, 9].
    tally
        int64[r, 3].
    finished
        int64[s], the slots whose copy ended in the last `advance`.
    watched
        int64[w, 2], constraints whose load is logged, and their rows in `log`.
    log
        float64[w, n, 3]: time, units carried until then, load from then on.
    """

    slot: NDArray[np.float64]
    path: NDArray[np.int64]
    rule: NDArray[np.float64]
    tally: NDArray[np.int64]
    finished: NDArray[np.int64]
    watched: NDArray[np.int64]
    log: NDArray[np.float64]


def new_state(
    slots: int, width: int, capacity: NDArray[np.float64], watched: list[int], rows: int
) -> State:
    """Return idle slots under constraints of `capacity`; `rows` of log are kept per watch."""
    rule = np.zeros((len(capacity), 9))
    rule[:, CAPACITY] = capacity
    slot = np.zeros((slots, SLOT_HEAD + width))
    slot[:, NEXT] = np.inf
    return State(
        slot,
        np.zeros((slots, PATH_HEAD + width), np.int64),
        rule,
        np.zeros((len(capacity), 3), np.int64),
        np.zeros(slots, np.int64),
        np.array([(each, 1) for each in watched], np.int64).reshape(-1, 2),
        np.zeros((len(watched), rows, 3)),
    )


def grown(state: State, slots: int, width: int) -> State:
    """Return the same state with room for more slots or longer paths."""
    bigger = new_state(slots, width, state.rule[:, CAPACITY], [], 1)
    n, k = state.slot.shape
    bigger.slot[:n, :k] = state.slot
    bigger.path[:n, : state.path.shape[1]] = state.path
    return state._replace(slot=bigger.slot, path=bigger.path, finished=bigger.finished)
