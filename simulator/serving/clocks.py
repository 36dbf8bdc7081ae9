"""Step times as arrays for the compiled loop, filled in where it first asks for them."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.fullgrid import Grid
from tierlab.hwmodels.time.times import SOURCES
from tierlab.simulator.serving.engine import opclock, profileclock
from tierlab.simulator.serving.engine.opclock import DECODE, DENSE, PLACES, WORKS, OpClock
from tierlab.simulator.serving.engine.profileclock import ProfileClock
from tierlab.simulator.serving.hosttime import HostTime
from tierlab.simulator.serving.profiletime import ProfileTimer
from tierlab.simulator.serving.steptime import StepTimer

Floats = NDArray[np.float64]


class Clock(Protocol):
    """What the loop needs to know how long steps take.

    Attributes
    ----------
    module
        Has `decode_seconds` and `mixed_seconds` over `arrays`.
    arrays
        A named tuple.
    """

    module: ModuleType
    arrays: Any

    def learn(self, missing: int) -> None:
        """Fill in what `module` said was missing."""


class OpTimes:
    """Step times by operations, of replicas that are alike."""

    module: ModuleType = opclock
    arrays: Any

    def __init__(self, timer: StepTimer) -> None:
        self._timer = timer
        lines, works = timer.sequences + 1, timer.works
        alone, head = timer.by_sequences
        self.arrays = OpClock(
            keys=timer.keys,
            queries=timer.queries,
            spreads=timer.spreads,
            dense=timer.dense.seconds,
            dense_known=timer.dense.known,
            head=head,
            alone=alone,
            decode=timer.decodes.seconds,
            decode_known=timer.decodes.known,
            works=np.empty((lines if works else 0, 1, len(SOURCES), len(timer.keys))),
            works_known=np.zeros(lines if works else 0, np.uint8),
            chunk=timer.chunks.seconds,
            ending=timer.ending.seconds,
            chunk_known=timer.ending.known,
            once=timer.chunks.once,
            together=timer.together[0],
            rules=timer.together[1],
            **_host(timer.host, lines, timer.dense.seconds.shape[1]),
        )

    def learn(self, missing: int) -> None:
        """Fill in one place of a table."""
        table, place = divmod(missing, PLACES)
        if table == DECODE:
            self._timer.decodes.learn(place)
        elif table == DENSE:
            self._timer.dense.learn(place)
        elif table == WORKS:
            self.arrays.works[place] = self._timer.works_s(place)
            self.arrays.works_known[place] = 1
        else:
            for chunks in dict.fromkeys((self._timer.chunks, self._timer.ending)):
                chunks.learn(place)


def _host(host: HostTime | None, lines: int, tokens: int) -> dict[str, Floats]:
    """Return the host's share of steps by sequences, and by tokens."""
    if host is None:
        names = {"before": lines, "beside": lines, "launch": tokens, "launch_alone": lines}
        return {name: np.zeros(n) for name, n in names.items()}
    sequences = np.arange(lines)
    return {
        "before": host.before_s(sequences),
        "beside": host.beside_s(sequences),
        "launch": host.launch_s(np.arange(tokens), False),
        "launch_alone": host.launch_s(sequences, True),
    }


def _ragged(grid: Grid | None) -> dict[str, Floats]:
    """Return what unlike lengths make of attention; no nodes where they make nothing of it."""
    none = (np.zeros(0),) * 4
    axes, values = (none, np.zeros((0, 0, 0, 0))) if grid is None else (grid.axes, grid.seconds)
    names = "ragged_chunks", "ragged_decodes", "ragged_keys", "beyond"
    return {**dict(zip(names, axes, strict=True)), "ragged": values}


class ProfileTimes:
    """Step times by a profile of whole steps.

    Parameters
    ----------
    sequences, budget
        Most sequences and tokens of a step.
    """

    module: ModuleType = profileclock
    arrays: Any

    def __init__(self, timer: ProfileTimer, sequences: int, budget: int) -> None:
        profile = timer.profile
        chunks, past, decodes, keys = profile.attention.axes
        self.arrays = ProfileClock(
            dense_at=profile.dense.counts,
            dense=profile.dense.seconds,
            head_at=profile.head.counts,
            head=profile.head.seconds,
            chunks=chunks,
            past=past,
            decodes=decodes,
            keys=keys,
            attention=profile.attention.seconds,
            **_ragged(profile.ragged),
            **_host(timer.host, sequences + 1, max(budget, sequences) + 1),
        )

    def learn(self, missing: int) -> None:
        """Do nothing: a profile is whole."""
