"""The state of all requests of a run, as columns: one row a request, in order of arrival."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tierlab.traces.schema import Trace

WAITING, RUNNING, DONE, REJECTED, ABSENT = range(5)
REASONS = ("", "context", "kv_capacity", "session")
"""Why a request was rejected: longer than the model's context; more KV than the whole pool;
an earlier turn of its session was rejected."""


def _filled(n: int, value: float) -> NDArray[np.float64]:
    return np.full(n, value)


def own(column: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a column as compiled code wants it: writable and in one piece."""
    flags = column.flags
    return column if flags.writeable and flags.c_contiguous else column.copy()


@dataclass(eq=False)
class Requests:
    """Columns of length n; times in simulated seconds, NaN until they happen.

    Attributes
    ----------
    queued_s
        float64, when the engine first saw it: vLLM's QUEUED event, at a step's boundary.
    input_tokens, output_tokens
        int64, from the trace.
    computed
        int64, tokens whose KV is in the pool now.
    generated
        int64, output tokens emitted so far.
    furthest
        int64, the most tokens ever computed: computing below it again is recomputation.
    recomputed
        int64, tokens computed again after a preemption.
    reused
        int64, prompt tokens served from KV that another request left.
    resuming
        bool, preempted and not yet back at its next output token.
    replica
        int16, the replica that serves it, or -1.
    """

    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    arrival_s: NDArray[np.float64]
    n: int = field(init=False)

    def __post_init__(self) -> None:
        n = self.n = len(self.input_tokens)
        zeros = np.zeros(n, np.int64)
        self.status = np.full(n, ABSENT, np.int8)
        self.reason = np.zeros(n, np.int8)
        self.computed, self.generated = zeros.copy(), zeros.copy()
        self.furthest, self.recomputed = zeros.copy(), zeros.copy()
        self.reused = zeros.copy()
        self.preemptions = np.zeros(n, np.int32)
        self.resuming = np.zeros(n, np.bool_)
        self.replica = np.full(n, -1, np.int16)
        self.queued_s, self.scheduled_s = _filled(n, np.nan), _filled(n, np.nan)
        self.first_token_s = _filled(n, np.nan)
        self.last_token_s = _filled(n, np.nan)

    @staticmethod
    def of(trace: Trace) -> Requests:
        """Return the requests of a trace, none arrived yet.

        A logged output of 0 tokens becomes 1: a server emits a token before it can stop.
        """
        output = np.maximum(trace.output_tokens, 1)
        return Requests(own(trace.input_tokens), output, trace.arrival_s.copy())

    def target(self, rows: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """Return the tokens to hold before the next output token can be emitted."""
        out: NDArray[np.int64] = self.input_tokens[rows] + self.generated[rows]
        return out

    def remaining(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the output tokens still to come."""
        return self.output_tokens[rows] - self.generated[rows]
