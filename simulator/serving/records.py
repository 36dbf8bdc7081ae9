"""What the replicas of a run wrote down, read together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.record import STEP_COLUMNS
from tierlab.simulator.serving.replica import Replica

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Records:
    """The records of all replicas, in their order, as if they were one."""

    replicas: Sequence[Replica]

    @property
    def busy_s(self) -> Floats:
        """Seconds of steps by source, summed over replicas, float64[len(SOURCES)]."""
        total: Floats = np.sum([each.core.busy for each in self.replicas], axis=0)
        return total

    @property
    def attention_bytes(self) -> float:
        """KV bytes that attention read."""
        return float(sum(each.core.real[state.ATTENTION_BYTES] for each in self.replicas))

    def token_gaps(self) -> tuple[Floats, Floats]:
        """Return the gaps between output tokens and how often each occurred, float64[n].

        Gaps within 0.02% of each other are one, their mean. A decode's gap is its step; a request
        that lost its KV in between waited longer.
        """
        times: Floats = np.sum([each.core.gaps for each in self.replicas], axis=0)
        seconds: Floats = np.sum([each.core.gap_seconds for each in self.replicas], axis=0)
        seen = times > 0
        return seconds[seen] / times[seen], times[seen]

    def of(self, replica: int) -> dict[str, Floats]:
        """Return the macro-steps of one replica as columns, in order."""
        rows = self.replicas[replica].rows()
        return {name: rows[:, i] for i, name in enumerate(STEP_COLUMNS)}

    def columns(self) -> dict[str, Floats]:
        """Return the macro-steps of all replicas as columns, by start and then replica."""
        tables = [each.rows() for each in self.replicas]
        together = np.concatenate(tables)
        order = np.argsort(together[:, 0], kind="stable")
        columns = {name: together[order, i] for i, name in enumerate(STEP_COLUMNS)}
        owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        columns["replica"] = owner[order].astype(np.float64)
        return columns
