"""One way that copies go, as measured: into or out of a drive or a GPU, by one mechanism.

A drive takes ``pieces x time of a piece with so many in flight``. A GPU's copies take a latency
and then so much a piece. In both, a latency comes first and shares nothing; what is left flows at
an even rate, which is no more than the best that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    bytes_per_s, pieces_per_s
        The best of any row after its latency.
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
    bytes_per_s: float
    pieces_per_s: float
    depth: float
    drive: bool
    band: str = "mid"

    def at(self, nbytes: float, pieces: float) -> Estimate:
        """Return how long a copy takes alone, from its request to its end."""
        size = nbytes / pieces
        if self.drive:
            size = max(math.ceil(size / PAGE_BYTES), 1) * PAGE_BYTES
        found = self.curve.at(size, min(pieces, self.depth))
        first_s = 0.0 if self.drive else self.latency_s
        least_s = self.latency_s + nbytes / self.bytes_per_s
        mid = max(first_s + found.seconds * pieces, least_s)
        low, high = found.p10 / found.seconds, found.p90 / found.seconds
        return Estimate(mid, mid * low, mid * high, found.outside)

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
    rate, pieces_per_s = _best(rows, first.seconds)
    latency_s = max(first.seconds - first.size_bytes / rate, 0.0)
    most = max(curve.depths) if depth is None else depth
    return Way(what, mechanism, curve, latency_s, rate, pieces_per_s, most, True, band)


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
    rate, pieces_per_s = _best(many, first_s)
    curve = PieceCurve(row.node(first_s)._replace(depth=1.0) for row in many)
    return Way(what, mechanism, curve, first_s, rate, pieces_per_s, 1.0, False, band)


def _first_s(rows: Sequence[Row]) -> float | None:
    """Return what a copy takes beside its pieces: one small piece, less what each more costs."""
    smallest = min(row.size_bytes for row in rows)
    small = {row.pieces: row.seconds for row in rows if row.size_bytes == smallest}
    many = max(small)
    if 1.0 not in small or many == 1.0:
        return None
    return max(small[1.0] - (small[many] - small[1.0]) / (many - 1), 0.0)


def _best(rows: Sequence[Row], latency_s: float) -> tuple[float, float]:
    """Return the most bytes and pieces a second of any row, its latency taken off."""
    after = [(row, row.seconds - latency_s) for row in rows]
    rates = [(r.size_bytes * r.pieces / s, r.pieces / s) for r, s in after if s > latency_s]
    if not rates:
        rates = [(r.size_bytes * r.pieces / r.seconds, r.pieces / r.seconds) for r in rows]
    return max(rate for rate, _ in rates), max(pieces for _, pieces in rates)
