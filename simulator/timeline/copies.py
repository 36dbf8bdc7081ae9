"""Copies as slices, one track a stream; and their rates on each link by cause, as counters.

A copy counts with its mean rate from its start to its end, so that the integral of a counter is the
bytes that the cause moved over the link in that direction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.network.records import CODES, NUMBERS, Records
from tierlab.simulator.network.route import Route
from tierlab.simulator.network.transfer import CAUSES
from tierlab.simulator.timeline.events import Counter, ns
from tierlab.simulator.timeline.sink import us
from tierlab.simulator.timeline.window import Window

_CHUNK = 65536
_START, _END, _MOVED = (NUMBERS.index(name) for name in ("start_s", "end_s", "moved_bytes"))
_ROUTE, _STREAM, _CAUSE = (CODES.index(name) for name in ("route", "stream", "cause"))
Ints = NDArray[np.int64]
Link = tuple[str, str]
"""Its name, and ``down`` or ``up``."""


class Copies:
    """The copies of a run that began to move.

    Parameters
    ----------
    pid, first_tid
        Process of the streams, and the thread of the first of them.
    links_pid
        Process of the links.
    """

    def __init__(
        self, records: Records, window: Window, pid: int, first_tid: int, links_pid: int
    ) -> None:
        self._records, self._window = records, window
        self._pid, self._first_tid, self._links_pid = pid, first_tid, links_pid
        self._routes = records.routes()
        self.streams = records.streams()

    def slices(self) -> Iterator[str]:
        """Yield one slice a copy, in the order in which they ended."""
        heads = [self._route_args(at) for at in range(len(self._routes))]
        for numbers, codes in self._records.chunks(_CHUNK):
            for row, code in zip(numbers.tolist(), codes.tolist(), strict=True):
                if math.isnan(row[_START]) or not self._window.touches(row[_START], row[_END]):
                    continue
                start, end = ns(row[_START]), ns(row[_END])
                yield (
                    f'{{"ph":"X","cat":"copy","name":"{CAUSES[code[_CAUSE]]}","ts":{us(start)},'
                    f'"dur":{us(end - start)},"pid":{self._pid},'
                    f'"tid":{self._first_tid + code[_STREAM]},"args":{{{heads[code[_ROUTE]]},'
                    f'"copy":{code[0]},"bytes":{row[_MOVED]!r},"pieces":{row[6]!r},'
                    f'"queued_s":{row[0]!r},"cancelled":{"true" if code[5] else "false"}}}}}'
                )

    def _route_args(self, at: int) -> str:
        route = self._routes[at]
        legs = [f"{edge.name} {'down' if outward else 'up'}" for edge, outward in route.legs]
        facts = {
            "source": route.source,
            "destination": route.destination,
            "mechanism": route.mechanism,
            "links": ", ".join(legs),
        }
        return json.dumps(facts)[1:-1]

    def rates(self) -> Iterator[str]:
        """Yield the counters of the links, in order of time."""
        links = sorted({leg for route in self._routes for leg in _legs(route)})
        span = (ns(self._window.start_s), self._window.end_s * 1e9)
        meters = [_Meter(link, self._links_pid, span) for link in links]
        index = {link: at for at, link in enumerate(links)}
        ways = [[index[leg] for leg in _legs(route)] for route in self._routes]
        for time_ns, route, cause, rate in self._changes():
            for at in ways[route]:
                yield from meters[at].change(time_ns, cause, rate)
        for meter in meters:
            yield from meter.close()

    def _changes(self) -> Iterator[tuple[int, int, int, float]]:
        """Yield (ns, route, cause, rate that begins, or ends if negative), in order of time."""
        if not len(self._records):
            return
        spans, bytes_moved, route_cause = self._spans()
        times = spans.T.ravel()
        order, copies = np.argsort(times, kind="stable"), len(spans)
        for chunk in range(0, len(order), _CHUNK):
            for at in order[chunk : chunk + _CHUNK].tolist():
                start_ns, end_ns = spans[at % copies].tolist()
                rate = float(bytes_moved[at % copies]) * 1e9 / (end_ns - start_ns)
                route, cause = route_cause[at % copies].tolist()
                yield int(times[at]), route, cause, rate if at < copies else -rate

    def _spans(self) -> tuple[Ints, NDArray[np.float64], Ints]:
        """Return start and end in ns, bytes, and route and cause of copies that took time."""
        parts = [
            (
                np.rint(numbers[:, [_START, _END]][began] * 1e9).astype(np.int64),
                numbers[began, _MOVED],
                codes[began][:, [_ROUTE, _CAUSE]],
            )
            for numbers, codes in self._records.chunks(_CHUNK)
            for began in [~np.isnan(numbers[:, _START])]
        ]
        spans, moved, kinds = (np.concatenate(part) for part in zip(*parts, strict=True))
        kept = (moved > 0) & (spans[:, 1] > spans[:, 0])
        return spans[kept], moved[kept], kinds[kept]


def _legs(route: Route) -> list[Link]:
    return [(edge.name, "down" if outward else "up") for edge, outward in route.legs]


class _Meter:
    """One link in one direction: the rates of the copies on it, by cause."""

    def __init__(self, link: Link, pid: int, window_ns: tuple[int, float]) -> None:
        self._counter = Counter(pid, f"{link[0]} {link[1]} B/s", window_ns)
        self._rates = np.zeros(len(CAUSES))
        self._copies = [0] * len(CAUSES)
        self._now_ns = 0
        self._seen: dict[str, int] = {}

    def change(self, time_ns: int, cause: int, rate: float) -> Iterator[str]:
        """Enter a rate that begins or ends; yield what was true until now."""
        if time_ns > self._now_ns:
            yield from self._written()
            self._now_ns = time_ns
        self._seen.setdefault(CAUSES[cause], cause)
        self._copies[cause] += 1 if rate > 0 else -1
        self._rates[cause] += rate
        if not self._copies[cause]:
            self._rates[cause] = 0.0

    def _written(self) -> Iterator[str]:
        values = {name: max(float(self._rates[at]), 0.0) for name, at in self._seen.items()}
        yield from self._counter.set(self._now_ns, values)

    def close(self) -> Iterator[str]:
        """Yield the last change."""
        yield from self._written()
        yield from self._counter.begin(math.inf)
