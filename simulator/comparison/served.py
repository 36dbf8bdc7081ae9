"""Served requests as columns, whoever served them: a server, or tierlab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

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
    ends_s
        float64[n], last token, on the clock of `arrival_s`; None where it is not known.
    gaps_s
        float64, all gaps between output tokens; None where only their means are known.
    queued
        Whether TTFT and E2E count from when the engine took the request in, not from arrival.
    """

    name: str
    arrival_s: Floats
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    latencies: Mapping[str, Floats]
    ends_s: Floats | None = None
    gaps_s: Floats | None = None
    queued: bool = False

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.arrival_s)

    def rate_per_s(self) -> float | None:
        """Return output tokens per second, from the first arrival to the last token."""
        if self.ends_s is None or not len(self):
            return None
        return float(self.output_tokens.sum() / (self.ends_s.max() - self.arrival_s.min()))


def per_output_token(first_s: Floats, last_s: Floats, output: NDArray[np.int64]) -> Floats:
    """Return the mean gap between a request's output tokens; NaN where it has one token."""
    gaps = np.where(output > 1, output - 1, np.nan).astype(np.float64)
    out: Floats = (last_s - first_s) / gaps
    return out
