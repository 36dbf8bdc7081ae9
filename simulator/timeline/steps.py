"""The steps of one replica as slices, and what runs, waits and is held as counters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.timeline.events import Counter
from tierlab.simulator.timeline.sink import us
from tierlab.simulator.timeline.window import Window

Floats = NDArray[np.float64]


class Steps:
    """One replica's track of steps.

    Parameters
    ----------
    block_bytes
        Of a KV block on one GPU.
    """

    def __init__(self, pid: int, tid: int, window: Window, block_bytes: float) -> None:
        self._tail = f'"pid":{pid},"tid":{tid},"cat":"step"'
        self._window, self._block_bytes = window, block_bytes
        span = (round(window.start_s * 1e9), window.end_s * 1e9)
        self._requests = Counter(pid, "requests", span)
        self._kv = Counter(pid, "KV held on one GPU", span)

    def events(self, each: Floats) -> Iterator[str]:
        """Yield the events of steps (`watched.EACH_COLUMNS`), in order of time."""
        last = max(int(np.searchsorted(each[:, 1], self._window.start_s)) - 1, 0)
        stop = int(np.searchsorted(each[:, 0], self._window.end_s, side="right"))
        shown = each[last:stop]
        times = np.rint(shown[:, :2] * 1e9).astype(np.int64).tolist()
        for (start, end), row in zip(times, shown[:, 2:].tolist(), strict=True):
            blocks, running, waiting, decodes, prefills, tokens = row
            yield from self._requests.set(start, {"running": running, "waiting": waiting})
            yield from self._kv.set(start, {"bytes": blocks * self._block_bytes})
            if (decodes or prefills) and end >= self._window.start_s * 1e9:
                name = "mixed" if decodes and prefills else "prefill" if prefills else "decode"
                yield (
                    f'{{"ph":"X","name":"{name}","ts":{us(start)},"dur":{us(end - start)},'
                    f'{self._tail},"args":{{"decode_tokens":{decodes:.0f},'
                    f'"prefill_tokens":{tokens:.0f},"prefills":{prefills:.0f},'
                    f'"running":{running:.0f},"waiting":{waiting:.0f}}}}}'
                )

    def close(self, end_ns: int) -> Iterator[str]:
        """Yield what is left at the end of the run."""
        yield from self._requests.begin(end_ns)
        yield from self._kv.begin(end_ns)
