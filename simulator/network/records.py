"""What happened to every transfer, one row each, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.network.route import Route
from tierlab.simulator.network.transfer import CANCELLED, CAUSES, Transfer

NUMBERS = ("queued_s", "start_s", "end_s", "bytes", "logical_bytes", "moved_bytes", "pieces")
CODES = ("transfer", "route", "stream", "cause", "priority", "cancelled")
_CAUSE = {name: i for i, name in enumerate(CAUSES)}


class Records:
    """Rows in the order in which the transfers ended."""

    def __init__(self) -> None:
        self._numbers = array("d")
        self._codes = array("q")
        self._routes: dict[Route, int] = {}
        self._streams: dict[str, int] = {}

    def add(self, t: Transfer) -> None:
        """Enter a transfer that ended."""
        self._numbers.extend(
            (t.queued_s, t.start_s, t.end_s, t.nbytes, t.logical_bytes, t.moved_bytes, t.pieces)
        )
        route = self._routes.setdefault(t.route, len(self._routes))
        stream = self._streams.setdefault(t.stream.name, len(self._streams))
        codes = (t.number, route, stream, _CAUSE[t.cause], t.priority, t.state is CANCELLED)
        self._codes.extend(codes)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._codes) // len(CODES)

    def routes(self) -> list[Route]:
        """Return the routes by the number that stands in the column ``route``."""
        return list(self._routes)

    def streams(self) -> list[str]:
        """Return the names of the streams by number."""
        return list(self._streams)

    def chunks(self, rows: int) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Yield so many rows at a time: columns `NUMBERS`, and `CODES` as numbers."""
        for start in range(0, len(self), rows):
            stop = min(start + rows, len(self))
            numbers = self._numbers[start * len(NUMBERS) : stop * len(NUMBERS)]
            codes = self._codes[start * len(CODES) : stop * len(CODES)]
            yield (
                np.array(numbers).reshape(-1, len(NUMBERS)),
                np.array(codes, np.int64).reshape(-1, len(CODES)),
            )

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns.

        ``transfer`` int64, `NUMBERS` float64 (``start_s`` is NaN where a transfer was cancelled
        while it waited), ``priority`` int64, ``cancelled`` bool, and as text ``source``,
        ``destination``, ``mechanism``, ``path`` (links in order, joined by `` > ``), ``stream``
        and ``cause``.
        """
        numbers = np.array(self._numbers).reshape(-1, len(NUMBERS))
        codes = np.array(self._codes).reshape(-1, len(CODES))
        columns: dict[str, NDArray[Any]] = {"transfer": codes[:, 0]}
        columns |= {name: numbers[:, i] for i, name in enumerate(NUMBERS)}
        routes = list(self._routes)
        for name in ("source", "destination", "mechanism", "name"):
            texts = [getattr(route, name) for route in routes]
            columns["path" if name == "name" else name] = _named(texts, codes[:, 1])
        columns["stream"] = _named(list(self._streams), codes[:, 2])
        columns["cause"] = _named(list(CAUSES), codes[:, 3])
        columns["priority"] = codes[:, 4]
        columns["cancelled"] = codes[:, 5].astype(np.bool_)
        return columns


def _named(names: list[str], codes: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.array(names or [""])[codes]
