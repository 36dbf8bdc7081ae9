"""One way that copies go, as measured: into or out of a drive or a GPU, by one mechanism.

A drive takes ``pieces x time of a piece with so many in flight``. A GPU's copies take a latency
and then so much a piece. In both, a latency comes first and shares nothing; what is left flows at
an even rate, which is no more than the best that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tierlab.hwmodels.transfers.curve import Estimate, Node, PieceCurve

PAGE_BYTES = 4096
"""Direct I/O comes in whole pages."""
BANDS = ("mid", "p10", "p90")


class Row(NamedTuple):
    """A measured copy: pieces of one size, so many in flight, and the seconds of all of them."""

    depth: float
    size_bytes: float
    pieces: float
    seconds: float
    p10: float
    p90: float

    def node(self, latency_s: float = 0.0) -> Node:
        """Return seconds a piece; of what is left after a latency where something is."""
        rest = self.seconds - latency_s
        share = rest / self.seconds if rest > 0 else 1.0
        times = (value * share / self.pieces for value in (self.seconds, self.p10, self.p90))
        return Node(self.depth, self.size_bytes, *times)


_SECONDS = Row._fields.index("seconds")


@dataclass(frozen=True, eq=False)
class Way:
    """Times of copies of any size, from rows of some.

    Attributes
    ----------
    what
        ``read``, ``write``, ``in`` or ``out``.
    mechanism
        ``io_uring`` or ``threads``; ``loop``, ``batched`` or ``kernel``.
    curve
        Seconds a piece: of a drive with its latency, of a GPU's copies without.
    latency_s
        Of a copy of one small piece, less its bytes at the best rate.
    best
        The most bytes a second, and pieces, of any row after its latency, at each of `BANDS`.
    depth
        Most pieces in flight of a drive; 1 of a GPU, whose rows have all pieces under way.
    drive
        Whether pieces are whole pages, and their times hold the latency.
    band
        Which end of the band `flow_s` gives: one of `BANDS`.
    """

    what: str
    mechanism: str
    curve: PieceCurve
    latency_s: float
    best: tuple[tuple[float, float], ...]
    depth: float
    drive: bool
    band: str = "mid"

    @property
    def bytes_per_s(self) -> float:
        """The best rate at the end of the band asked for."""
        return self.best[BANDS.index(self.band)][0]

    @property
    def pieces_per_s(self) -> float:
        """The most pieces a second there."""
        return self.best[BANDS.index(self.band)][1]

    def at(self, nbytes: float, pieces: float) -> Estimate:
        """Return how long a copy takes alone, from its request to its end."""
        size = nbytes / pieces
        if self.drive:
            size = max(math.ceil(size / PAGE_BYTES), 1) * PAGE_BYTES
        found = self.curve.at(size, min(pieces, self.depth))
        first_s = 0.0 if self.drive else self.latency_s
        told = first_s + found.seconds * pieces
        ends = (told * end / found.seconds for end in (found.seconds, found.p10, found.p90))
        mid, low, high = (
            max(end, self.latency_s + nbytes / rate)
            for end, (rate, _) in zip(ends, self.best, strict=True)
        )
        return Estimate(mid, min(low, mid), max(high, mid), found.outside)

    def told(self) -> dict[str, Any]:
        """Return what it is and where it holds, for a manifest."""
        return {
            "way": self.what,
            "mechanism": self.mechanism,
            "piece_bytes": list(self.curve.sizes()),
            "queue_depths": self.curve.depths if self.drive else None,
            "queue_depth": self.depth if self.drive else None,
            "latency_s": self.latency_s,
            "bytes_per_s": self.bytes_per_s,
            "pieces_per_s": self.pieces_per_s,
            "error_between_sizes": self.curve.between,
        }

    def flow_s(self, nbytes: float, pieces: float) -> float:
        """Return how long its bytes flow after the latency, at the end of the band asked for."""
        seconds = self.at(nbytes, pieces)[BANDS.index(self.band)]
        return max(seconds - self.latency_s, nbytes / self.bytes_per_s)


def drive_way(
    what: str, mechanism: str, rows: Sequence[Row], depth: float | None, band: str
) -> Way:
    """Return a drive's reads or writes.

    Parameters
    ----------
    depth
        Most pieces in flight; absent, the most that were measured.
    """
    curve = PieceCurve(row.node() for row in rows)
    first = curve.nodes()[0]
    best = _best(rows, first.seconds)
    latency_s = max(first.seconds - first.size_bytes / best[0][0], 0.0)
    most = max(curve.depths) if depth is None else depth
    return Way(what, mechanism, curve, latency_s, best, most, True, band)


def copy_way(
    what: str, mechanism: str, rows: Sequence[Row], latency_s: float | None, band: str
) -> Way:
    """Return a GPU's copies in or out by one mechanism.

    Parameters
    ----------
    latency_s
        Taken where no single small piece was measured beside many.
    """
    told = _first_s(rows)
    first_s = told if told is not None else (latency_s or 0.0)
    many = [row for row in rows if row.pieces > 1] or list(rows)
    whole = {row.size_bytes for row in many}
    many += [row for row in rows if row.size_bytes not in whole]
    curve = PieceCurve(row.node(first_s)._replace(depth=1.0) for row in many)
    return Way(what, mechanism, curve, first_s, _best(many, first_s), 1.0, False, band)


def _first_s(rows: Sequence[Row]) -> float | None:
    """Return what a copy takes beside its pieces: one small piece, less what each more costs."""
    smallest = min(row.size_bytes for row in rows)
    small = {row.pieces: row.seconds for row in rows if row.size_bytes == smallest}
    many = max(small)
    if 1.0 not in small or many == 1.0:
        return None
    return max(small[1.0] - (small[many] - small[1.0]) / (many - 1), 0.0)


def _best(rows: Sequence[Row], latency_s: float) -> tuple[tuple[float, float], ...]:
    """Return the most bytes and pieces a second of any row, its latency taken off, by end."""
    return tuple(_best_of([(row, row[_SECONDS + k]) for row in rows], latency_s) for k in range(3))


def _best_of(rows: list[tuple[Row, float]], latency_s: float) -> tuple[float, float]:
    after = [(row, s - latency_s) for row, s in rows if s > 2 * latency_s] or rows
    most = max(row.size_bytes * row.pieces / s for row, s in after)
    return most, max(row.pieces / s for row, s in after)
