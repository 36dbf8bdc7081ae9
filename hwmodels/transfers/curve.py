"""Seconds a piece, measured at some sizes and depths, and between them.

Between two measured sizes a piece costs a fixed part and a part per byte, so its time is linear
in its size. Between two depths it costs a part that more pieces in flight hide and one that they
do not, so its time is linear in one over the depth. Both are exact for a latency, an issue cost
and a bandwidth, whatever the three are.

Outside: a smaller piece takes the time of the smallest, a larger one goes at the rate of the
largest; more in flight than measured are of no more use; fewer wait as long as the fewest did
together (Little's law), which is an upper bound. All of it is flagged.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

PER_OCTAVE = 0.1
"""Half-width of the band, in logarithms, for each doubling outside; an assumption (2026-11)."""
ASSUMED = math.log(1.25)
"""The same between nodes where too few are measured to tell; an assumption (2026-11)."""
FEWEST = 4
"""Nodes left out in turn from which the error between nodes is told."""
_COVERED = 0.8


class Node(NamedTuple):
    """Pieces of one size at one depth: seconds a piece, with the 10th and 90th percentile."""

    depth: float
    size_bytes: float
    seconds: float
    p10: float
    p90: float


class Estimate(NamedTuple):
    """Seconds with their band, and whether they lie outside what was measured."""

    seconds: float
    p10: float
    p90: float
    outside: bool


class PieceCurve:
    """Times of pieces by size and depth.

    Parameters
    ----------
    nodes
        At least one; of several alike the fastest stands.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._rows: dict[float, list[Node]] = {}
        for node in sorted(nodes, key=lambda n: (n.depth, n.size_bytes, n.seconds)):
            row = self._rows.setdefault(node.depth, [])
            if not row or row[-1].size_bytes < node.size_bytes:
                row.append(node)
        self.depths = list(self._rows)
        self.between = _between(list(self._rows.values()))

    def nodes(self) -> list[Node]:
        """Return what was measured, by depth and size."""
        return [node for row in self._rows.values() for node in row]

    def sizes(self) -> tuple[float, float]:
        """Return the smallest and the largest size, bytes."""
        every = [node.size_bytes for node in self.nodes()]
        return min(every), max(every)

    def at(self, size_bytes: float, depth: float = 1.0) -> Estimate:
        """Return the seconds of a piece of that size with `depth` of them in flight."""
        place = bisect_left(self.depths, depth)
        if place == len(self.depths):
            found = self._of_size(self.depths[-1], size_bytes, depth / self.depths[-1])
        elif self.depths[place] == depth:
            found = self._of_size(depth, size_bytes, 1.0)
        elif place == 0:
            fewest = self.depths[0]
            found = _scaled(self._of_size(fewest, size_bytes, fewest / depth), fewest / depth)
        else:
            found = self._between_depths(place, size_bytes, depth)
        return found

    def _between_depths(self, place: int, size_bytes: float, depth: float) -> Estimate:
        fewer, more = self.depths[place - 1], self.depths[place]
        share = (1 / fewer - 1 / depth) / (1 / fewer - 1 / more)
        one, other = self._of_size(fewer, size_bytes, 1.0), self._of_size(more, size_bytes, 1.0)
        mid, low, high = (a + share * (b - a) for a, b in zip(one[:3], other[:3], strict=True))
        return Estimate(mid, low, high, one.outside or other.outside)

    def _of_size(self, depth: float, size_bytes: float, beyond: float) -> Estimate:
        """Return the estimate at a measured depth; `beyond` is how far the depth asked is off."""
        row = self._rows[depth]
        sizes = [node.size_bytes for node in row]
        mid, low, high = (_read(sizes, [n[k] for n in row], size_bytes) for k in (2, 3, 4))
        away = max(sizes[0] / max(size_bytes, 1.0), size_bytes / sizes[-1], 1.0)
        octaves = math.log2(max(away, 1.0)) + math.log2(beyond)
        extra = PER_OCTAVE * octaves + (0.0 if size_bytes in sizes else self.between)
        return Estimate(
            mid,
            mid * math.exp(-math.hypot(math.log(mid / low), extra)),
            mid * math.exp(math.hypot(math.log(high / mid), extra)),
            octaves > 0,
        )


def _read(sizes: Sequence[float], seconds: Sequence[float], size_bytes: float) -> float:
    if size_bytes <= sizes[0]:
        return seconds[0]
    if size_bytes >= sizes[-1]:
        return seconds[-1] * size_bytes / sizes[-1]
    k = bisect_left(sizes, size_bytes)
    share = (size_bytes - sizes[k - 1]) / (sizes[k] - sizes[k - 1])
    return seconds[k - 1] + share * (seconds[k] - seconds[k - 1])


def _scaled(found: Estimate, factor: float) -> Estimate:
    return Estimate(found.seconds * factor, found.p10 * factor, found.p90 * factor, True)


def _between(rows: Sequence[Sequence[Node]]) -> float:
    """Return how far a node that is left out lies from its neighbours' line, in logarithms.

    Four in five are nearer. The gap is then wider than those that are interpolated over.
    """
    errors = [abs(e) for row in rows for e in left_out(row, _read)]
    return float(np.quantile(errors, _COVERED)) if len(errors) >= FEWEST else ASSUMED


Read = Callable[[Sequence[float], Sequence[float], float], float]


def left_out(row: Sequence[Node], read: Read = _read) -> list[float]:
    """Return log(predicted / measured) of each inner node, predicted from the others by `read`."""
    out = []
    for k in range(1, len(row) - 1):
        others = [*row[:k], *row[k + 1 :]]
        told = read([n.size_bytes for n in others], [n.seconds for n in others], row[k].size_bytes)
        out.append(math.log(told / row[k].seconds))
    return out
