"""The requests of one replica as nested spans: queued, loading, prefill, decode, preempted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.serving.engine.watched import BEGINS_LOAD, EMITS, ENDS, PREEMPTS, STARTS
from tierlab.simulator.serving.requests import Requests
from tierlab.simulator.timeline.events import ns
from tierlab.simulator.timeline.sink import us
from tierlab.simulator.timeline.window import Window
from tierlab.traces.schema import Trace

Floats = NDArray[np.float64]
Phase = tuple[str, float, float]
QUEUED, LOADING, PREFILL, DECODE = "queued", "loading", "prefill", "decode"
PREEMPTED, RECOMPUTE = "preempted", "recompute"


@dataclass
class _Life:
    """A request that is under way: its phase, since when, and those before."""

    since_s: float
    phase: str = QUEUED
    emitted: bool = False
    past: list[Phase] = field(default_factory=list)

    def turn(self, phase: str, at_s: float) -> None:
        """Go on to another phase; one that took no time is left out."""
        if at_s > self.since_s:
            self.past.append((self.phase, self.since_s, at_s))
        self.phase, self.since_s = phase, max(at_s, self.since_s)

    def happened(self, kind: int, at_s: float) -> None:
        """Take note of a change.

        A request that lost its KV after its step began still emits that step's token.
        """
        if kind == BEGINS_LOAD:
            self.turn(LOADING, at_s)
        elif kind == STARTS:
            self.turn(RECOMPUTE if self.emitted else PREFILL, at_s)
        elif kind == PREEMPTS:
            self.turn(PREEMPTED, at_s)
        elif kind == EMITS:
            self.emitted = True
            if self.phase in (PREFILL, RECOMPUTE):
                self.turn(DECODE, at_s)


class Lifetimes:
    """One replica's requests; each is written once it was answered."""

    def __init__(self, pid: int, window: Window, trace: Trace, requests: Requests) -> None:
        self._pid, self._window, self._trace, self._r = pid, window, trace, requests
        self._lives: dict[int, _Life] = {}

    def events(self, happened: Floats) -> Iterator[str]:
        """Yield the events of what happened (`watched.HAPPENED_COLUMNS`)."""
        for at_s, number, what in happened.tolist():
            row, kind = int(number), int(what)
            life = self._lives.get(row)
            if life is None:
                life = self._lives[row] = _Life(float(self._r.arrival_s[row]))
            life.happened(kind, at_s)
            if kind == ENDS:
                life.turn("", at_s)
                yield from self._written(row, self._lives.pop(row), at_s)

    def _written(self, row: int, life: _Life, end_s: float) -> Iterator[str]:
        start_s = float(self._r.arrival_s[row])
        if not self._window.touches(start_s, end_s):
            return
        yield self._edge("b", row, "request", start_s, self._facts(row))
        for phase, since_s, until_s in life.past:
            if self._window.touches(since_s, until_s):
                yield self._edge("b", row, phase, since_s)
                yield self._edge("e", row, phase, until_s)
        yield self._edge("e", row, "request", end_s)

    def _edge(self, ph: str, row: int, name: str, at_s: float, args: str = "") -> str:
        return (
            f'{{"ph":"{ph}","cat":"request","id2":{{"local":"{row:#x}"}},"name":"{name}","ts":{us(ns(at_s))},'
            f'"pid":{self._pid},"tid":0{args}}}'
        )

    def _facts(self, row: int) -> str:
        r, trace = self._r, self._trace
        return (
            f',"args":{{"request":{row},"session":{trace.session[row]},"turn":{trace.turn[row]},'
            f'"input_tokens":{r.input_tokens[row]},"output_tokens":{r.generated[row]},'
            f'"reused_tokens":{r.reused[row]},"recomputed_tokens":{r.recomputed[row]},'
            f'"preemptions":{r.preemptions[row]}}}'
        )
