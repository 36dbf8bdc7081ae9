"""One replica on simulated time: SimPy's clock outside, the compiled loop inside.

The loop (`engine.loop`) says when it must be called again; an arrival calls it earlier. Where
nothing can follow from an answer, it runs ahead to the next event of the simulation: until then
nothing that concerns it can happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import EventPriority

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.simulator.serving.clocks import Clock
from tierlab.simulator.serving.engine import state
from tierlab.simulator.serving.engine.compiled import Engine
from tierlab.simulator.serving.engine.loop import submit
from tierlab.simulator.serving.engine.state import Core
from tierlab.simulator.serving.layers import Layers
from tierlab.simulator.serving.tiering import Tiering

Floats = NDArray[np.float64]
Tape = Callable[[Floats, Floats], None]

_AFTER_ARRIVALS = cast("EventPriority", 2)
"""SimPy priority of a replica's events: a request that arrives at the very moment at which a batch
is fixed is in it."""


@dataclass(eq=False)
class Replica:
    """A serving engine.

    Attributes
    ----------
    exact
        Report each answer at its time; else some may be reported before it, though never before
        something else happens.
    on_answer
        Called with each answered request, in order.
    queued_after_s
        float64[requests], what passes between a request's arrival and its place in the queue.
    tiering
        The tiers below HBM, if there are any; then nothing is run ahead of either.
    layers
        With fidelity ``layer``, what lets steps pass layer by layer.
    tape
        Called with `Core.each` and `Core.happened` when they are emptied.
    """

    env: simpy.Environment
    core: Core
    clock: Clock
    exact: bool
    on_answer: Callable[[int], None]
    queued_after_s: Floats
    tiering: Tiering | None = None
    layers: Layers | None = None
    tape: Tape | None = None

    def __post_init__(self) -> None:
        self._engine = Engine(self.core, self.clock.module, self.clock.arrays)
        self._rows: list[Floats] = []
        self._woken = False
        self._due: simpy.Event | None = None

    def submit(self, row: int) -> None:
        """Hand over a request that arrives now; the next batch fixed once it queues sees it."""
        delay_s = float(self.queued_after_s[row])
        if delay_s:
            self.env.timeout(delay_s).callbacks.append(lambda _: self._ask_tiers(row))
        else:
            self._ask_tiers(row)

    def _ask_tiers(self, row: int) -> None:
        if self.tiering is None:
            self._queue(row)
        else:
            self.tiering.arrived(row, self._queue)

    def _queue(self, row: int) -> None:
        submit(self.core, row, self.env.now)
        self.wake()

    def wake(self) -> None:
        """Go on once all that happens now has happened."""
        if not self._woken:
            self._woken = True
            self._call(self.env.now, self._wake)

    def rows(self) -> Floats:
        """Return the macro-steps so far, float64[n, len(STEP_COLUMNS)]."""
        self.collect()
        return np.concatenate(self._rows)

    def _wake(self, _: simpy.Event) -> None:
        self._woken = False
        self._go_on(float(self.env.now))

    def _call(self, at_s: float, act: Callable[[simpy.Event], None]) -> simpy.Event:
        event = simpy.Event(self.env)
        event._ok, event._value = True, at_s
        event.callbacks.append(act)
        self.env.schedule(event, _AFTER_ARRIVALS, max(at_s - self.env.now, 0.0))
        return event

    def _at_boundary(self, event: simpy.Event) -> None:
        if event is self._due:
            self._go_on(float(event.value or 0.0))

    def _go_on(self, now_s: float) -> None:
        """Let the loop run as far as it may, and be called when it must."""
        stopped = self._run(now_s)
        while stopped not in (state.RUNS, state.SLEEPS, state.LOADS):
            stopped = self._run(now_s)
        self._due = None
        by_itself = self.layers is not None and self.layers.begin()
        if stopped == state.RUNS and not by_itself:
            self._due = self._call(float(self.core.real[state.NEXT]), self._at_boundary)

    def _run(self, now_s: float) -> int:
        """Call the loop once and see to what it stopped for."""
        waits = self.exact or self.tiering is not None
        horizon_s = now_s if waits else float(self.env.peek())
        stopped = self._engine.advance(now_s, horizon_s, self.exact)
        if stopped == state.LACKS_TIMES:
            # nothing has happened: what is known of times must not show in what is done
            self.clock.learn(int(self.core.reg[state.MISSING]))
            return int(stopped)
        if stopped == state.FULL:
            self.collect()
        elif stopped == state.ASKS and self.tiering is not None:
            self.tiering.decide()
        elif stopped == state.BROKEN:
            raise BrokenLaw(f"time ran backwards at {self.core.real[state.NOW]} s")
        if self.tiering is not None:
            self.tiering.collect()
        self._report()
        return int(stopped)

    def _report(self) -> None:
        """Tell of the answers since the last time."""
        reg, done = self.core.reg, self.core.done
        number = int(reg[state.DONE])
        if number:
            reg[state.DONE] = 0
            for row in done[:number].tolist():
                self.on_answer(row)

    def collect(self) -> None:
        """Empty the loop's lists of steps."""
        number = int(self.core.reg[state.ROWS])
        self._rows.append(self.core.rows[:number].copy())
        self.core.reg[state.ROWS] = 0
        if self.tape is not None:
            self._hand_over(self.tape)

    def _hand_over(self, tape: Tape) -> None:
        core, reg = self.core, self.core.reg
        tape(core.each[: reg[state.EACH]], core.happened[: reg[state.HAPPENED]])
        reg[state.EACH] = reg[state.HAPPENED] = 0
