"""Runs parts in rounds under one budget of time, and goes on where a journal ends.

Every point is measured once in each round, so that its samples are minutes apart and its spread
holds the machine's drift. The first round is always finished; later rounds end with the budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tierlab.kernels.measure.journal import Journal
from tierlab.kernels.measure.point import Measure, Part, Point, Unavailable
from tierlab.kernels.measure.sampling import summarise

Report = Callable[[int, int], None]
SHORTEST_SLICE_S = 0.05


@dataclass(frozen=True)
class Budget:
    """How long a run may take, and in how many rounds."""

    total_s: float
    rounds: int


@dataclass(frozen=True)
class Measured:
    """What a run found.

    Attributes
    ----------
    rows
        One a point: its columns, and seconds with their spread.
    skipped
        Part -> why this machine cannot measure it.
    resumed
        Measurements that an earlier, interrupted run had made.
    """

    rows: list[dict[str, Any]]
    skipped: dict[str, str] = field(default_factory=dict)
    resumed: int = 0


def run(
    parts: Sequence[Part], budget: Budget, journal: Journal, report: Report | None = None
) -> Measured:
    """Measure every point of every part.

    Parameters
    ----------
    journal
        Holds what is done already, and takes what is done now.
    report
        Called with (measurements done, measurements in all) of what an earlier run left over.
    """
    resumed = len(journal.done)
    with ExitStack() as stack:
        turns = _Turns(parts, budget, journal, stack, report)
        for turn in range(budget.rounds):
            turns.take(turn)
    return Measured(_rows(turns.kept(), budget, journal), turns.skipped, resumed)


class _Turns:
    """The rounds of one run; parts are opened when first needed."""

    def __init__(
        self,
        parts: Sequence[Part],
        budget: Budget,
        journal: Journal,
        stack: ExitStack,
        report: Report | None,
    ) -> None:
        self._parts = parts
        self._points = [(part, point) for part in parts for point in part.points()]
        self._journal, self._stack, self._report = journal, stack, report
        self._open: dict[str, Measure] = {}
        self.skipped: dict[str, str] = {}
        self._total = len(self._points) * budget.rounds
        self._before = len(journal.done)
        share = 1.0 - self._before / max(self._total, 1)
        self._deadline = time.perf_counter() + budget.total_s * max(share, 0.0)

    def take(self, turn: int) -> None:
        """Measure what this round still lacks, while time is left or it is the first."""
        for part, point in self._points:
            late = turn > 0 and time.perf_counter() > self._deadline
            if late or (turn, point.key) in self._journal.done:
                continue
            self._take(turn, part, point)

    def kept(self) -> list[Point]:
        """Return the points of the parts that could be measured."""
        return [point for part, point in self._points if part.name not in self.skipped]

    def _take(self, turn: int, part: Part, point: Point) -> None:
        measure = self._opened(part)
        if measure is not None:
            self._journal.add(turn, point.key, measure(point, self._until()))
            if self._report is not None:
                done = len(self._journal.done) - self._before
                self._report(done, self._total - self._before)

    def _opened(self, part: Part) -> Measure | None:
        if part.name not in self._open and part.name not in self.skipped:
            try:
                self._open[part.name] = self._stack.enter_context(part.open())
            except Unavailable as reason:
                self.skipped[part.name] = str(reason)
                self._total -= self._total * len(part.points()) // max(len(self._points), 1)
        return self._open.get(part.name)

    def _until(self) -> float:
        """Return when this point has had its share of the time that is left."""
        now = time.perf_counter()
        left = max(self._total - len(self._journal.done), 1)
        return now + max((self._deadline - now) / left, SHORTEST_SLICE_S)


def _rows(points: Sequence[Point], budget: Budget, journal: Journal) -> list[dict[str, Any]]:
    rows = []
    for point in points:
        turns = [journal.done.get((turn, point.key)) for turn in range(budget.rounds)]
        found = [samples for samples in turns if samples]
        if found:
            rows.append(_row(point.columns, found))
    return rows


def _row(columns: Mapping[str, Any], rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    told = summarise(rounds)
    return {
        **columns,
        "seconds": told.seconds,
        "seconds_p10": told.p10,
        "seconds_p90": told.p90,
        "samples": told.samples,
        "rounds": told.rounds,
    }
