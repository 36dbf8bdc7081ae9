"""ISO 8601 times to nanoseconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s*(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_LONGEST = 40


def is_date(cell: Any) -> bool:
    """Tell whether a cell spells an ISO 8601 time."""
    return isinstance(cell, str) and ISO.fullmatch(cell.strip()) is not None


def iso_ns(text: str) -> int | None:
    """Return nanoseconds since 1970 in UTC of one ISO 8601 time; None where it spells none."""
    match = ISO.fullmatch(text.strip())
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    if not told_in_ns(day):
        return None
    try:
        stamp = np.datetime64(f"{day}T{clock}.{fraction or '0'}", "ns").astype(np.int64)
    except ValueError:
        return None
    return int(stamp) - zone_s(zone) * 10**9


def told_in_ns(day: str) -> bool:
    """Tell whether nanoseconds since 1970 reach the day; numpy wraps round where they do not."""
    return "1678" <= day[:4] <= "2261"


def exists(stamp: str) -> bool:
    """Tell whether a date and time without zone are of the calendar."""
    try:
        np.datetime64(stamp, "ns")
    except ValueError:
        return False
    return True


def zone_s(zone: str | None) -> int:
    """Return a zone's offset from UTC, e.g. of ``+05:30``."""
    if not zone or zone == "Z":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset_s = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -offset_s if zone[0] == "-" else offset_s


def alike_ns(cells: Sequence[Any]) -> Ints | None:
    """Return int64[k] for times that are written alike, all at once.

    None where any is no time, or needs a look of its own: logs whose fractions differ in digits
    fall into a few lengths, each of them alike.
    """
    if set(map(type, cells)) != {str}:
        return None
    lengths = np.fromiter(map(len, cells), np.int64, len(cells))
    if lengths.max() > _LONGEST:
        return None
    texts = np.array(cells)
    found = np.empty(len(texts), np.int64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        part = _of_one_length(texts[rows], length)
        if part is None:
            return None
        found[rows] = part
    return found


def _of_one_length(texts: NDArray[np.str_], length: int) -> Ints | None:
    first = str(texts[0])
    match = ISO.fullmatch(first)
    if match is None or len(first) != length:
        return None
    zone = match.group(4) or ""
    written = length - len(zone)
    letters = texts.astype(f"U{length}").view(np.uint32).reshape(len(texts), length)
    moving = np.array([char.isdigit() for char in first])
    moving[written:] = False
    if (letters[:, ~moving] != letters[0, ~moving]).any() or not _digits(letters[:, moving]):
        return None
    years = np.unique(texts.astype("U4")).tolist()
    if not told_in_ns(years[0]) or not told_in_ns(years[-1]):
        return None
    plain = texts.astype(f"U{written}")
    if "," in first or " " in first[19:]:
        plain = np.char.replace(np.char.rstrip(plain), ",", ".")
    try:
        stamps = plain.astype("datetime64[ns]").astype(np.int64)
    except ValueError:
        return None
    shifted: Ints = stamps - zone_s(zone) * 10**9
    return shifted


def _digits(letters: NDArray[np.uint32]) -> bool:
    return bool(((letters >= ord("0")) & (letters <= ord("9"))).all())
