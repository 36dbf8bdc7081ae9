"""What can be read off the network: traffic of a GPU's memory, SMs taken, bytes over links."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import simpy
from numpy.typing import NDArray

from tierlab.hwmodels.system import System
from tierlab.hwmodels.time.transfer import kernel_sms
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.held import Held
from tierlab.simulator.network.fluid import compiled_advance
from tierlab.simulator.network.gpuload import KEPT, SmUse, integral_at
from tierlab.simulator.network.rules import rules_of
from tierlab.simulator.network.state import (
    AS_OF,
    BUSY,
    CAPACITY,
    CARRIED,
    FLOWS,
    LOAD,
    State,
    new_state,
)

Link = tuple[str, str]
"""Name of an edge, and ``down`` or ``up``."""
_SLOTS, _WIDTH = 8, 16


class Meters:
    """The state of all flows, and the readings that others take of it."""

    def __init__(self, env: simpy.Environment, system: System) -> None:
        self.env = env
        self.system = system
        self._rules = rules_of(system)
        gpus = list(system.gpus())
        self._gpu_row = {gpu: row for row, gpu in enumerate(gpus)}
        self._sm_use = {gpu: SmUse() for gpu in gpus}
        self._hbm = [self._rules.index[f"{gpu}:hbm"] for gpu in gpus]
        self._work_on(new_state(_SLOTS, _WIDTH, self._rules.array(), self._hbm, KEPT))

    def _work_on(self, state: State) -> None:
        """Keep all flows in these arrays from now on."""
        self._state, self._held = state, Held(state)
        self._advance = compiled_advance(self._held)

    def hbm_bytes_per_s(self, gpu: str) -> float:
        """Return what copies read and write of a GPU's HBM at this moment, bytes/s."""
        return float(self._state.rule[self._hbm[self._row(gpu)], LOAD])

    def hbm_bytes(self, gpu: str, since_s: float, until_s: float | None = None) -> float:
        """Return the bytes that copies read and wrote in a GPU's HBM from one time to another.

        `until_s` is now by default; in the future, the present rate is assumed to last.

        Raises
        ------
        BadInput
            There is no such GPU.
        ValueError
            `since_s` lies before the last `KEPT` / 2 changes of the rate.
        """
        log = self._state.log[self._row(gpu), : self._logged(gpu)]
        until_s = self.env.now if until_s is None else until_s
        return integral_at(log, until_s) - integral_at(log, since_s)

    def sm_share(self, gpu: str) -> float:
        """Return the share of a GPU's SMs that copying kernels hold at this moment."""
        self._row(gpu)
        return self._sm_use[gpu].share

    def sm_seconds(self, gpu: str, since_s: float, until_s: float | None = None) -> float:
        """Return the integral of `sm_share` over an interval, s; raises as `hbm_bytes`."""
        self._row(gpu)
        use = self._sm_use[gpu]
        until_s = self.env.now if until_s is None else until_s
        return use.integral_at(until_s) - use.integral_at(since_s)

    def carried_bytes(self) -> dict[Link, float]:
        """Return (link, direction) -> the integral of its rate until now, bytes."""
        now = self.env.now
        return {
            link: float(row[CARRIED] + row[LOAD] * max(now - row[AS_OF], 0.0))
            for link, row, _ in self._link_rows()
        }

    def busy_s(self) -> dict[Link, float]:
        """Return (link, direction) -> seconds until now in which bytes flowed."""
        now = self.env.now
        return {
            link: float(row[BUSY] + (max(now - row[AS_OF], 0.0) if flows else 0.0))
            for link, row, flows in self._link_rows()
        }

    def _clock_slack_bytes(self) -> dict[Link, float]:
        """Return (link, direction) -> the bytes that it carries in two ticks of the clock."""
        resolution_s = 2 * float(np.spacing(self.env.now))
        return {link: resolution_s * float(row[CAPACITY]) for link, row, _ in self._link_rows()}

    def _hold_sms(self, gpu: str, kernels: int) -> None:
        share = kernel_sms() / self.system.gpus()[gpu].sms
        self._sm_use[gpu].change(kernels, share, self.env.now)

    def _link_rows(self) -> Iterator[tuple[Link, NDArray[np.float64], int]]:
        for edge in self.system.edges:
            for way in ("down", "up"):
                r = self._rules.index[f"{edge.name}:{way}"]
                yield (edge.name, way), self._state.rule[r], int(self._state.tally[r, FLOWS])

    def _logged(self, gpu: str) -> int:
        return int(self._state.watched[self._gpu_row[gpu], 1])

    def _row(self, gpu: str) -> int:
        if gpu not in self._gpu_row:
            raise BadInput(self.system.where, f"no GPU {gpu!r}", ", ".join(self._gpu_row))
        return self._gpu_row[gpu]
