"""Rows of a CSV file as a stream; a quote that is never closed costs its line, not the file."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log

LONGEST_ROW = 64
"""Most lines of one row: a quoted cell may hold line breaks, a stray quote holds the rest."""

BOM = b"\xef\xbb\xbf"


def header_of(head: bytes) -> list[str]:
    """Return the names in the header of a CSV file that begins with `head`; none if it has none."""
    line = head.removeprefix(BOM).lstrip().split(b"\n", 1)[0]
    try:
        row = _parsed([line.decode()], delimiter_of(line)) or []
    except (UnicodeDecodeError, csv.Error):
        return []
    return [name.strip() for name in row]


def delimiter_of(head: bytes) -> str:
    """Return which of comma, semicolon and tab the header has most of."""
    header = head.split(b"\n", 1)[0]
    return max(",;\t", key=lambda mark: header.count(mark.encode()))


class Rows:
    """The rows of a CSV file after its header.

    Parameters
    ----------
    spread
        A quoted cell may hold line breaks; False: a row is a line.

    Attributes
    ----------
    header
        The names in the header, stripped.

    Raises
    ------
    BadInput
        The header is no CSV row.
    """

    def __init__(self, log: Log, spread: bool) -> None:
        self._log = log
        self._most_lines = LONGEST_ROW if spread else 1
        self._delimiter = delimiter_of(log.head)
        self._lines = _texts(log)
        self._ahead: deque[tuple[int, str]] = deque()
        self.header = self._header()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (number of its last line, cells) for the rows of the header's width."""
        marks = len(self.header) - 1
        while (line := self._next()) is not None:
            number, text = line
            if not text:
                continue
            if text.count(self._delimiter) == marks and '"' not in text:
                yield number, text.split(self._delimiter)
                continue
            taken = [line]
            try:
                row = self._row(taken)
                what = f"{len(row)} fields"
            except csv.Error as error:
                row, what = [], f"invalid CSV: {error}"
            if len(row) == len(self.header):
                yield taken[-1][0], row
                continue
            self._ahead.extendleft(reversed(taken[1:]))
            accepted = f"{len(self.header)}, as in the header"
            self._log.tally.skip(BadInput(self._log.place(number), what, accepted))

    def _header(self) -> list[str]:
        number, text = self._next() or (1, "")
        try:
            row = _parsed([text], self._delimiter) or []
        except csv.Error as error:
            what = f"invalid CSV: {error}"
            raise BadInput(self._log.place(number), what, "a header") from None
        return [name.strip() for name in row]

    def _next(self) -> tuple[int, str] | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def _row(self, taken: list[tuple[int, str]]) -> list[str]:
        """Return the cells of a row that begins with the line taken; take what else is its."""
        while (row := _parsed([text for _, text in taken], self._delimiter)) is None:
            line = self._next() if len(taken) < self._most_lines else None
            if line is None:
                raise csv.Error("a quote that is not closed")
            taken.append(line)
        return row


def _parsed(lines: list[str], delimiter: str) -> list[str] | None:
    """Return the cells of one row; None where a quoted cell goes on in the next line."""
    if len(lines) == 1 and '"' not in lines[0]:
        return lines[0].split(delimiter)
    text = "\n".join(lines)
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
        raise
    return rows[0] if rows else []


def _texts(log: Log) -> Iterator[tuple[int, str]]:
    for number, line in log.lines():
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            what = f"not UTF-8 text at byte {error.start} of the line"
            log.tally.skip(BadInput(log.place(number), what, "UTF-8 text"))
