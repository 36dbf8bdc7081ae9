"""What a time model answers, and what it must offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import OpTable, Work

SOURCES = ("datasheet", "calibrated", "executed")
DATASHEET, CALIBRATED, EXECUTED = range(3)
ROOFLINE = "roofline"
"""The origin, beside `SOURCES`, of datasheet times that no kernel model answers."""
SCHEDULE = "schedule"
"""The same of attention's schedules (`schedules`), which a scenario or a table of shapes names."""
SCHEDULED_GROUPS = 900
"""Bias groups from here to 1000 are the schedules', one each."""
ROOFLINE_GROUPS = 100
"""Bias groups below are the roofline's, one an operation."""
COPY_GROUPS = 1000
"""Bias groups from here on are those of copies."""


@dataclass(frozen=True, eq=False)
class Times:
    """Durations, one a row, each with its band and its origin.

    Attributes
    ----------
    seconds, p10, p90
        float64[n]. The true duration falls under `p10` in one case of ten, over `p90` in one.
    source
        uint8[n], index into `SOURCES`.
    extrapolated
        bool[n], the row lies outside the range that the model was made from.
    bias_group
        int32[n]. Rows of one group err together (their relative errors add up linearly over
        many rows); rows of different groups err independently (in quadrature). A model's groups
        are its own: operations of the roofline from 0, of tables from 100, of kernel models from
        200, of schedules from 900, copies from 1000.
    """

    seconds: NDArray[np.float64]
    p10: NDArray[np.float64]
    p90: NDArray[np.float64]
    source: NDArray[np.uint8]
    extrapolated: NDArray[np.bool_]
    bias_group: NDArray[np.int32]

    def rows(self, start: int, end: int) -> Times:
        """Return those of rows `start` to `end`, which is not among them."""
        part = slice(start, end)
        seconds, p10, p90 = self.seconds[part], self.p10[part], self.p90[part]
        source, beyond = self.source[part], self.extrapolated[part]
        return Times(seconds, p10, p90, source, beyond, self.bias_group[part])


@dataclass(frozen=True, eq=False)
class SharedLaunch:
    """What decodes cost in a launch of attention that serves prefill chunks too, over n lengths.

    Attributes
    ----------
    longest_s
        float64[n], the tile of one decode with so many keys, s.
    read_s
        float64[n], reading its keys and values once, s.
    held
        float64[n], its keys and values of one KV head over what L2 holds.
    lanes
        Tiles of one decode, over the SMs.
    queries
        Tokens of a chunk that a tile of such a lane takes.
    readers, crowd
        Most times that keys are read; how many times more for each decode.
    empty_s
        What a decode costs for each further tile of the longest chunk, s.
    whole_share
        Of the SMs, what the longest chunk's tiles fill where a decode's keys are not split.
    tail, power
        What the meeting of long tiles adds, of the shorter; the norm in which memory and
        arithmetic overlap.
    """

    longest_s: NDArray[np.float64]
    read_s: NDArray[np.float64]
    held: NDArray[np.float64]
    lanes: float
    queries: float
    readers: float
    crowd: float
    empty_s: float
    whole_share: float
    tail: float
    power: float


@dataclass(frozen=True, eq=False)
class TransferTable:
    """Copies over one link, one a row.

    Attributes
    ----------
    bytes, pieces
        float64[n], the payload and the number of separate copies that it takes.
    mechanism
        uint8[n], index into `MECHANISMS`.
    outward
        bool[n], True from the edge's first end to its second.
    """

    bytes: NDArray[np.float64]
    pieces: NDArray[np.float64]
    mechanism: NDArray[np.uint8]
    outward: NDArray[np.bool_]


MECHANISMS = ("loop", "batched", "kernel")
"""A loop of small copies, one batched DMA, or a kernel on the SMs."""


class TimeModel(Protocol):
    """Durations of operations on one device, for one framework and version."""

    @property
    def name(self) -> str:
        """Device, framework, version: what the model stands for."""

    def predict(self, ops: OpTable) -> Times:
        """Return the durations of `ops`, vectorised."""


@runtime_checkable
class KnowsKernels(Protocol):
    """A time model that knows what one launch, as it was measured, holds."""

    def launched(self, work: Work) -> Work:
        """Return a step's work without what the time of its attention or experts includes."""

    def shared(
        self, prefill: Work, decode: Work, keys: NDArray[np.float64], band: str
    ) -> tuple[SharedLaunch, int] | None:
        """Return how, and the source, of the mixing of one chunk and one decode; None: apart."""


@runtime_checkable
class KnowsMiddles(Protocol):
    """A time model whose bands take work that not every question needs."""

    def middles(self, ops: OpTable) -> Times:
        """Return what `predict` does, with bands that may be NaN."""


def middles(times: TimeModel, ops: OpTable) -> Times:
    """Return durations of which no band is wanted."""
    return times.middles(ops) if isinstance(times, KnowsMiddles) else times.predict(ops)


def launched(times: TimeModel, work: Work) -> Work:
    """Return work of steps as a time model's launches count it."""
    return times.launched(work) if isinstance(times, KnowsKernels) else work


def origins(times: Times, seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return shares of `seconds`, float64[n], by source; the roofline's and schedules' apart.

    What is left as ``datasheet`` are kernel models with constants of other GPUs. Schedules are told
    where there are any.
    """
    group, sheet = times.bias_group, times.source == DATASHEET
    code = np.where(sheet & (group < ROOFLINE_GROUPS), len(SOURCES), times.source)
    scheduled = (group >= SCHEDULED_GROUPS) & (group < COPY_GROUPS)
    code = np.where(sheet & scheduled, len(SOURCES) + 1, code)
    sums = np.bincount(code, seconds, minlength=len(SOURCES) + 2)
    shares = sums / max(float(sums.sum()), np.finfo(float).tiny)
    told = dict(zip((*SOURCES, ROOFLINE, SCHEDULE), shares.tolist(), strict=True))
    return told if scheduled.any() else {k: v for k, v in told.items() if k != SCHEDULE}


class TransferModel(Protocol):
    """Durations of copies over one link, alone on it."""

    def predict(self, transfers: TransferTable) -> Times:
        """Return the durations of `transfers`, vectorised."""
