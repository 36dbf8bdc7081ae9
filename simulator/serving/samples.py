"""What the tiers of one replica held, and what they had served, now and then."""

from __future__ import annotations

from typing import NamedTuple

MOST = 512
"""Samples that are kept; whenever there are more every other one goes, evenly over time."""


class Sample(NamedTuple):
    """The tiers below HBM at one moment.

    Attributes
    ----------
    held_bytes
        By tier, copies on their way included.
    reused_tokens
        By tier, HBM too: prompt tokens served so far, those computed or reused before not again.
    """

    time_s: float
    held_bytes: dict[str, float]
    reused_tokens: dict[str, int]


class Samples:
    """At most `MOST` samples, however long a run is, the last of them at its end."""

    def __init__(self) -> None:
        self._rows: list[Sample] = []
        self._gap_s = 0.0
        self._next_s = 0.0

    def due(self, now_s: float) -> bool:
        """Say whether it is time for a sample; one comparison, asked at every change."""
        return now_s >= self._next_s

    def add(self, sample: Sample) -> None:
        """Keep a sample; of the same moment, the later one."""
        if self._rows and self._rows[-1].time_s == sample.time_s:
            self._rows.pop()
        self._rows.append(sample)
        if len(self._rows) > MOST:
            self._rows = self._rows[::2]
            self._gap_s = 2 * (sample.time_s - self._rows[0].time_s) / MOST
        self._next_s = sample.time_s + self._gap_s

    def rows(self, last: Sample) -> list[Sample]:
        """Return the samples in order, ended by `last`."""
        return [*(row for row in self._rows if row.time_s < last.time_s), last]
