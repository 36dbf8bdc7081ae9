"""Trace events as JSON text, and counters that are written only where they change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from tierlab.simulator.timeline.sink import us


def ns(seconds: float) -> int:
    """Return whole nanoseconds."""
    return round(seconds * 1e9)


def metadata(kind: str, pid: int, value: str | int, tid: int = 0) -> str:
    """Return what names or sorts a process or thread: ``process_name`` and so on."""
    key = "sort_index" if kind.endswith("sort_index") else "name"
    event = {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {key: value}}
    return json.dumps(event, separators=(",", ":"))


def number(value: float) -> str:
    """Write a number the shortest way that reads back the same; whole ones without a point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


class Counter:
    """A counter of a process, with one series or several; unchanged values are not written.

    Parameters
    ----------
    window_ns
        Before and after, nothing is written, but for the value that holds as it begins.
    """

    def __init__(self, pid: int, name: str, window_ns: tuple[int, float]) -> None:
        self._head = f'{{"ph":"C","pid":{pid},"tid":0,"name":{json.dumps(name)},"ts":'
        self._start_ns, self._end_ns = window_ns
        self._values: dict[str, float] = {}
        self._held = False

    def set(self, time_ns: int, values: Mapping[str, float]) -> Iterator[str]:
        """Yield the events that new values make; times never run backwards."""
        if all(self._values.get(key) == value for key, value in values.items()):
            return
        if time_ns >= self._start_ns:
            yield from self.begin(time_ns)
        self._values.update(values)
        if time_ns < self._start_ns:
            self._held = True
        elif time_ns <= self._end_ns:
            yield self._event(time_ns)

    def begin(self, until_ns: float) -> Iterator[str]:
        """Yield what held as the window began, if that was not written yet."""
        if self._held:
            self._held = False
            if until_ns > self._start_ns:
                yield self._event(self._start_ns)

    def _event(self, time_ns: int) -> str:
        series = ",".join(f"{json.dumps(k)}:{number(v)}" for k, v in self._values.items())
        return f'{self._head}{us(time_ns)},"args":{{{series}}}}}'
