"""The transfers of a file of ``tierlab calibrate --device``: read, checked, sorted by way.

Of drives: reads, writes and their mixture, by size and depth. Of GPUs: copies of pinned memory on
one stream of an idle device by mechanism; more streams and both directions only say what the link
reaches. Pageable memory, copies beside a GEMM, and processors' own memory are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierlab.hwmodels.time.times import MECHANISMS
from tierlab.hwmodels.transfers.way import Row
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.measure.output import load

_PLAUSIBLE_BYTES_PER_S = (1e2, 1e14)
_ENDS = {("host", "gpu"): "in", ("gpu", "host"): "out"}
_PROVENANCE = ("device", "date", "command")
_FILE_OPS = ("read", "write", "mixed")
ACCEPTED = "a file of 'tierlab calibrate --device cpu' (its part files) or cuda:N (its part copies)"


@dataclass(frozen=True, eq=False)
class TransferFile:
    """Measured transfers of one machine.

    Attributes
    ----------
    device, date, command
        Of the measurement; `device` is the GPU's name in the catalogue, or the processor's.
    io
        What carried out a drive's requests: ``io_uring`` or ``threads``.
    drive
        ``read``, ``write``, ``mixed`` -> rows.
    copies
        (``in`` or ``out``, mechanism) -> rows.
    links
        ``in``, ``out``, ``both`` -> the most bytes a second of any row, whatever its streams.
    """

    path: Path
    device: str
    date: str
    command: str
    io: str
    drive: Mapping[str, Sequence[Row]]
    copies: Mapping[tuple[str, str], Sequence[Row]]
    links: Mapping[str, float]

    @property
    def source(self) -> str:
        """Where a figure of it comes from, in a line."""
        return f"measured {self.date} on {self.device} ({self.command}), {self.path.name}"


def read_transfers(path: Path, where: str) -> TransferFile:
    """Read a file.

    Raises
    ------
    BadInput
        There is none, it is of another kind, holds no transfers, says not where it comes from, or
        a row is no copy of some pieces.
    """
    provenance, rows = load(path, where)
    device, date, command = (_text(provenance, key, path) for key in _PROVENANCE)
    found = _Found({}, {}, {}, [])
    for number, row in enumerate(rows, 1):
        _sort(row, found, f"{path}: row {number}")
    if not found.drive and not found.copies:
        raise BadInput(str(path), "holds no transfers of drives or between host and GPU", ACCEPTED)
    io = " and ".join(dict.fromkeys(found.io))
    return TransferFile(path, device, date, command, io, found.drive, found.copies, found.links)


@dataclass
class _Found:
    drive: dict[str, list[Row]]
    copies: dict[tuple[str, str], list[Row]]
    links: dict[str, float]
    io: list[str]


def _text(provenance: Mapping[str, Any], key: str, path: Path) -> str:
    value = provenance.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadInput(str(path), f"provenance has no {key}", "its date, device and command")
    return value


def _sort(row: Mapping[str, Any], found: _Found, where: str) -> None:
    """Put a row where it belongs, if it is of use."""
    op, ends = row["op"], (row.get("src"), row.get("dst"))
    if row.get("load", "idle") != "idle":
        return
    if op in _FILE_OPS and any("file" in str(end).split() for end in ends):
        made = _row(row, _number(row, "queue_depth", where), where)
        found.drive.setdefault(op, []).append(made)
        found.io.append(str(row.get("mechanism")))
    elif op == "copy" and row.get("host_memory") == "pinned":
        _sort_copy(row, ends, found, where)


def _sort_copy(row: Mapping[str, Any], ends: tuple[Any, Any], found: _Found, where: str) -> None:
    way, mechanism = _ENDS.get(ends), row.get("mechanism")
    if mechanism not in MECHANISMS:
        raise BadInput(where, f"mechanism is {mechanism!r}", ", ".join(MECHANISMS))
    made = _row(row, 1.0, where)
    if way is not None and row.get("streams", 1) == 1:
        found.copies.setdefault((way, mechanism), []).append(made)
    both = all({"host", "gpu"} <= set(str(end).split()) for end in ends)
    link = way or ("both" if both else None)
    if link is None:
        raise BadInput(where, f"src and dst are {ends[0]!r} and {ends[1]!r}", "host and gpu")
    rate = made.size_bytes * made.pieces / made.seconds
    found.links[link] = max(found.links.get(link, 0.0), rate)


def _row(row: Mapping[str, Any], depth: float, where: str) -> Row:
    size, pieces, nbytes = (_number(row, k, where) for k in ("piece_bytes", "pieces", "bytes"))
    if abs(size * pieces - nbytes) > 1e-6 * nbytes:
        what = f"bytes is {nbytes:g}, not {pieces:g} pieces of {size:g}"
        raise BadInput(where, what, "bytes = pieces x piece_bytes")
    seconds = float(row["seconds"])
    low, high = _PLAUSIBLE_BYTES_PER_S
    if not low <= nbytes / seconds <= high:
        what = f"{nbytes:g} bytes in {seconds:g} s are {nbytes / seconds:.3g} B/s"
        raise BadInput(where, what, "bytes in bytes and seconds in seconds")
    p10, p90 = (_number(row, k, where, seconds) for k in ("seconds_p10", "seconds_p90"))
    if not p10 <= seconds <= p90:
        what = f"seconds is {seconds:g}, between p10 {p10:g} and p90 {p90:g}"
        raise BadInput(where, what, "p10 <= seconds <= p90")
    return Row(depth, size, pieces, seconds, p10, p90)


def _number(row: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = row.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e18:
        raise BadInput(where, f"{key} is {value!r}", "a number above 0")
    return float(value)
