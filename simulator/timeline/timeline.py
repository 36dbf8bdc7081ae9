"""A timeline: watches a run and writes it as trace events while it passes.

Processes are replicas, then what all of them share: copies, links, shared tiers, refusals.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.network.records import Records
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.build import Parts
from tierlab.simulator.serving.requests import REASONS, REJECTED, Requests
from tierlab.simulator.serving.run import Run
from tierlab.simulator.serving.tiering import Tiering
from tierlab.simulator.timeline.copies import Copies
from tierlab.simulator.timeline.events import metadata, ns
from tierlab.simulator.timeline.holdings import Holdings
from tierlab.simulator.timeline.lifetimes import Lifetimes
from tierlab.simulator.timeline.sink import Sink, us
from tierlab.simulator.timeline.steps import Steps
from tierlab.simulator.timeline.window import Window
from tierlab.traces.schema import Trace

Floats = NDArray[np.float64]
_WHOLE = Window()


class Timeline:
    """Writes a run to a file as it passes (`serving.watch.Watch`).

    Use it as a context: what was not published when it ends is gone.

    Parameters
    ----------
    path
        Ends in ``.json`` or ``.json.gz``.
    window
        What does not reach into it is left out.
    in_run
        The file that `finish` returns is moved into a run directory, and not published.

    Raises
    ------
    BadInput
        The file cannot be written; `finish`: the window begins after the run.
    """

    def __init__(self, path: Path, window: Window = _WHOLE, in_run: bool = False) -> None:
        self.window, self.sink, self.in_run = window, Sink(path), in_run

    def __enter__(self) -> Timeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.discard()

    def begins(self, scenario: Scenario, parts: Parts, trace: Trace, requests: Requests) -> None:
        """Name the replicas."""
        number, window = scenario.engine.replicas, self.window
        self._pids = range(1, number + 1)
        self._shared = range(number + 1, number + 5)
        self._steps = [Steps(pid, pid, window, parts.pool.block_bytes) for pid in self._pids]
        self._lives = [Lifetimes(pid, window, trace, requests) for pid in self._pids]
        span = (ns(window.start_s), window.end_s * 1e9)
        self._tiers = Holdings(self._shared[2], span)
        for pid in self._pids:
            self.sink.write(_process(pid, f"replica {pid - 1}"))
            self.sink.write([metadata("thread_name", pid, "engine steps", pid)])

    def passed(self, replica: int, each: Floats, happened: Floats) -> None:
        """Write steps, and the requests that ended."""
        self.sink.write(self._steps[replica].events(each))
        self.sink.write(self._lives[replica].events(happened))

    def hold(self, replica: int, tiering: Tiering) -> None:
        """Write what tiers hold."""
        self.sink.write(self._tiers.events(self._pids[replica], tiering))

    def finish(self, run: Run) -> Path:
        """Write what only the end of a run knows; return the scratch file, whole now."""
        self.window.check(run.simulated_s)
        end_ns = ns(run.simulated_s)
        for steps in self._steps:
            self.sink.write(steps.close(end_ns))
        self.sink.write(self._tiers.close(end_ns))
        if self._tiers.any_shared:
            self.sink.write(_process(self._shared[2], "shared tiers"))
        if run.network is not None and run.network.records is not None:
            self.sink.write(self._copies(run.network.records))
        self.sink.write(self._refusals(run.requests))
        return self.sink.finish()

    def publish(self) -> None:
        """Put the finished file in its place."""
        self.sink.publish()

    def _copies(self, records: Records) -> Iterator[str]:
        pid, links = self._shared[0], self._shared[1]
        first_tid = 1000 * len(self._pids) + 1000
        copies = Copies(records, self.window, pid, first_tid, links)
        if copies.streams:
            yield from _process(pid, "copies, by stream")
            yield from _process(links, "links, by cause")
        for at, name in enumerate(copies.streams):
            yield metadata("thread_name", pid, name, first_tid + at)
        yield from copies.slices()
        yield from copies.rates()

    def _refusals(self, r: Requests) -> Iterator[str]:
        rows = np.flatnonzero(r.status == REJECTED).tolist()
        pid = self._shared[3]
        if rows:
            yield from _process(pid, "refused requests")
        for row in rows:
            at_s = float(r.arrival_s[row])
            if self.window.touches(at_s, at_s):
                reason = REASONS[r.reason[row]]
                yield (
                    f'{{"ph":"i","s":"p","name":"refused: {reason}","ts":{us(ns(at_s))},'
                    f'"pid":{pid},"tid":0,"args":{{"request":{row},'
                    f'"input_tokens":{r.input_tokens[row]}}}}}'
                )


def _process(pid: int, name: str) -> list[str]:
    return [metadata("process_name", pid, name), metadata("process_sort_index", pid, pid)]
