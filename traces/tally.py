"""What became of the records of a log: read, skipped as malformed, or excluded by the format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tierlab.kernels.base.errors import BadInput

SHOWN = 10
"""How many skipped records are told one by one to a person; all are counted."""


class Tally:
    """Counts a log's records; a record is what could be a request of the format.

    Every record is in exactly one of `read`, `skipped` and `excluded`. A line (or document) that
    cannot be taken apart counts as one record, whatever it would have held.

    Parameters
    ----------
    skip_bad
        Go on past a malformed record; False: the first one stops the reading.
    keep_all
        Keep the errors of all skipped records, not of the first `SHOWN`; some 500 bytes each.

    Attributes
    ----------
    read
        Requests in the trace; set when the log has been read to its end.
    skipped
        Malformed records that were left out.
    excluded
        Reason -> records that are well-formed and no requests to replay, as a failed one.
    bad
        The errors of the skipped records that are kept.
    """

    def __init__(self, skip_bad: bool = False, keep_all: bool = False) -> None:
        self.skip_bad = skip_bad
        self._keep_all = keep_all
        self.read = 0
        self.skipped = 0
        self.excluded: Counter[str] = Counter()
        self.bad: list[BadInput] = []

    @property
    def records(self) -> int:
        """All records of the log."""
        return self.read + self.skipped + self.excluded.total()

    @property
    def told(self) -> list[str]:
        """One line for each of the first `SHOWN` skipped records."""
        return [error.line() for error in self.bad[:SHOWN]]

    def wanted(self, records: int) -> int:
        """Return of how many of so many further bad records the errors would be kept."""
        return records if self._keep_all else max(0, min(records, SHOWN - len(self.bad)))

    def skip(self, error: BadInput, records: int = 1) -> None:
        """Count what is malformed, a record or some of one cause, and go on; or stop.

        Raises
        ------
        BadInput
            `error`, where bad records are not to be skipped.
        """
        if not self.skip_bad:
            raise error
        self.skipped += records
        if self.wanted(1):
            self.bad.append(error)

    def exclude(self, reason: str, records: int = 1) -> None:
        """Count records that the format itself says are no requests to replay."""
        self.excluded[reason] += records

    def notes(self, name: str) -> Iterator[str]:
        """Yield the lines that a person should read on stderr; none for a clean log.

        `name`: of the log, as the user gave it.
        """
        for reason, count in self.excluded.most_common():
            yield f"{name}: excluded {count} of {self.records} records: {reason}"
        if self.skipped:
            yield f"{name}: skipped {self.skipped} of {self.records} records as malformed:"
            yield from (f"  {line}" for line in self.told)
            if self.skipped > len(self.told):
                yield f"  ... and {self.skipped - len(self.told)} more"

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and each skipped record whose error was kept: place, what, accepted.

        `what` names the field and its value; `accepted` is what would have been a sound one.
        """
        return {
            "read": self.read,
            "skipped": self.skipped,
            "excluded": dict(self.excluded.most_common()),
            "bad": [
                {"place": error.where, "what": error.what, "accepted": error.accepted}
                for error in self.bad
            ],
        }
