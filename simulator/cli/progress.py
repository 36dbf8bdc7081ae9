"""Progress on stderr: a rate and the time left, only at a terminal, only when it lasts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]
LATE_S = 2.0
"""What ends sooner shows no bar."""


@contextmanager
def progress(label: str, unit: str) -> Iterator[Progress | None]:
    """Yield a callback ``(done, total)``, or None where nobody watches.

    The bar appears after two seconds.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with _Bar(label, unit) as bar:
        yield bar


class _Bar:
    """A rich progress bar that starts late."""

    def __init__(self, label: str, unit: str) -> None:
        import time

        self._label, self._unit = label, unit
        self._clock = time.monotonic
        self._began = self._clock()

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} " + self._unit),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self._label, total=None, rate="")
        self._shown = False
        return self

    def __call__(self, done: int, total: int) -> None:
        elapsed = self._clock() - self._began
        if elapsed < LATE_S:
            return
        rate = f"{done / elapsed:,.{0 if done >= 10 * elapsed else 1}f} {self._unit}/s"
        self._bar.update(self._task, completed=done, total=total, rate=rate)
        if not self._shown:
            self._bar.start()  # draws at once, so the total must be known by now
            self._shown = True

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._bar.stop()
