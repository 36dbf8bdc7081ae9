"""Served requests as columns, whoever served them: a server, or tierlab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.metrics.quantiles import Spread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METRICS = {
    "ttft_s": "TTFT",
    "tpot_s": "TPOT",
    "e2e_s": "E2E latency",
    "queue_s": "queueing",
    "service_s": "prefill service",
}
"""Name of a latency -> its title. Prefill service is from the first schedule to the first token."""


@dataclass(frozen=True, eq=False)
class Served:
    """Requests in the order of their arrival; n of them, those that were answered alone.

    Attributes
    ----------
    name
        Where they come from.
    arrival_s
        float64[n], from the first arrival on.
    input_tokens, output_tokens
        int64[n].
    latencies
        Name of `METRICS` -> float64[n]; what was not measured is absent.
    entered_s, ends_s
        float64[n], when TTFT starts to count and the last token, on one clock that starts with
        the first of them; None where it is not known.
    itl
        Mean and quantiles of all gaps between output tokens; None where they are not known.
    queued
        Whether TTFT and E2E count from when the engine took the request in, not from arrival.
    ids
        int64[n], rows of the trace; None where the server did not know them.
    """

    name: str
    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    latencies: Mapping[str, Floats]
    entered_s: Floats | None = None
    ends_s: Floats | None = None
    itl: Spread | None = None
    queued: bool = False
    ids: Ints | None = None

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.arrival_s)

    def take(self, rows: Ints) -> Served:
        """Return these requests alone; clocks and the spread of gaps stay those of all."""
        return replace(
            self,
            arrival_s=self.arrival_s[rows],
            input_tokens=self.input_tokens[rows],
            output_tokens=self.output_tokens[rows],
            latencies={name: values[rows] for name, values in self.latencies.items()},
            entered_s=None if self.entered_s is None else self.entered_s[rows],
            ends_s=None if self.ends_s is None else self.ends_s[rows],
            ids=None if self.ids is None else self.ids[rows],
        )

    def seconds(self) -> float | None:
        """Return the time from the first arrival to the last token."""
        if self.ends_s is None or self.entered_s is None or not len(self):
            return None
        return float(self.ends_s.max() - self.entered_s.min())


def per_output_token(first_s: Floats, last_s: Floats, output: Ints) -> Floats:
    """Return the mean gap between a request's output tokens; NaN where it has one token."""
    gaps = np.where(output > 1, output - 1, np.nan).astype(np.float64)
    out: Floats = (last_s - first_s) / gaps
    return out
