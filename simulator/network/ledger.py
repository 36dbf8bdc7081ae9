"""Bytes by link, direction and cause, beside what the links themselves carried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.simulator.network.route import Route
from tierlab.simulator.network.transfer import Transfer

TOLERANCE = 1e-6
"""Relative; what links carry is an integral of rates, what causes moved is a sum of bytes."""


class Moved(NamedTuple):
    """What one cause moved over one link in one direction.

    Attributes
    ----------
    bytes, logical_bytes
        That crossed, and that they stand for.
    transfers
        Copies that ended, or were cancelled on the way.
    """

    bytes: float
    logical_bytes: float
    transfers: int


@dataclass
class _Entry:
    nbytes: float = 0
    logical_bytes: float = 0
    transfers: int = 0


class NetworkLedger:
    """Entries by route and cause as copies end; sums of whole bytes are exact up to 2^53."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Route, str], _Entry] = {}

    def add(self, transfer: Transfer) -> None:
        """Enter what a transfer moved when it ended."""
        key = (transfer.route, transfer.cause)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        moved = transfer.moved_bytes
        entry.nbytes += moved
        whole = moved == transfer.nbytes
        share = 1.0 if whole else moved / transfer.nbytes
        entry.logical_bytes += transfer.logical_bytes if whole else transfer.logical_bytes * share
        entry.transfers += 1

    def links(
        self, moving: Iterable[tuple[Transfer, float]] = ()
    ) -> dict[tuple[str, str, str], Moved]:
        """Return (link, ``down`` or ``up``, cause) -> what moved.

        Parameters
        ----------
        moving
            Transfers that have not ended, each with the bytes that it has moved so far.
        """
        rows: dict[tuple[str, str, str], Moved] = {}
        for (route, cause), entry in self._entries.items():
            _spread(rows, route, cause, entry)
        for transfer, moved in moving:
            share = moved / transfer.nbytes if transfer.nbytes else 0.0
            entry = _Entry(moved, transfer.logical_bytes * share, 0)
            _spread(rows, transfer.route, transfer.cause, entry)
        return rows


def _spread(
    rows: dict[tuple[str, str, str], Moved], route: Route, cause: str, entry: _Entry
) -> None:
    for edge, outward in route.legs:
        key = (edge.name, "down" if outward else "up", cause)
        old = rows.get(key, Moved(0, 0, 0))
        rows[key] = Moved(
            old.bytes + entry.nbytes,
            old.logical_bytes + entry.logical_bytes,
            old.transfers + entry.transfers,
        )


def check_conserved(
    moved: Mapping[tuple[str, str, str], Moved],
    carried: Mapping[tuple[str, str], float],
    slack_bytes: Mapping[tuple[str, str], float],
) -> None:
    """Require that what each link carried is the sum over causes.

    Parameters
    ----------
    moved
        By link, direction and cause: sums of bytes.
    carried
        By link and direction: integrals of rates.
    slack_bytes
        By link and direction: what it carries within the resolution of the clock.

    Raises
    ------
    BrokenLaw
        They differ.
    """
    causes = dict.fromkeys(carried, 0.0)
    copies = dict.fromkeys(carried, 1)
    for (link, way, _), row in moved.items():
        causes[link, way] += row.bytes
        copies[link, way] += row.transfers
    for key, integral in carried.items():
        allowed = TOLERANCE * max(causes[key], integral) + copies[key] * slack_bytes[key]
        if abs(causes[key] - integral) > allowed:
            link, way = key
            what = f"{link} {way} carried {integral} B, but its causes sum to {causes[key]} B"
            raise BrokenLaw(what)
