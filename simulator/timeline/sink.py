"""A JSON file of trace events, written as they come; it appears whole or not at all.

The format is Chrome's: "Trace Event Format" (Chromium, docs.google.com/document/d/
1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU), as Perfetto reads it. Times are microseconds with
three decimals, so whole nanoseconds.
"""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.whole import umask

WHERE = "--timeline"
SUFFIXES = (".json", ".json.gz")
_LEVEL = 4
_BUFFER = 1 << 18


def us(time_ns: int) -> str:
    """Write nanoseconds as microseconds.

    >>> us(1234567), us(7)
    ('1234.567', '0.007')
    """
    return f"{time_ns // 1000}.{time_ns % 1000:03d}"


def check_file(path: Path) -> None:
    """Refuse a path that no timeline can be written to.

    Raises
    ------
    BadInput
        Its name does not say JSON, it is a folder, or its folder is not there.
    """
    if not path.name.lower().endswith(SUFFIXES):
        raise BadInput(WHERE, f"{path} is no name of a JSON file", "a name in .json or .json.gz")
    if path.is_dir():
        raise BadInput(WHERE, f"{path} is a folder", "the name of a file")
    if path.exists() and not path.is_file():
        raise BadInput(WHERE, f"{path} is no plain file", "the name of a file")
    if not path.parent.is_dir():
        raise BadInput(WHERE, f"no such folder: {path.parent}", "a file in an existing folder")


class Sink:
    """The file under a scratch name beside its place, until `publish`.

    Parameters
    ----------
    path
        Its place; packed by gzip where the name ends in ``.gz``.

    Raises
    ------
    BadInput
        The file cannot be written; so do `write` and `publish`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.events, self.published = path, 0, False
        check_file(path)
        try:
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        except OSError as error:
            raise self._refused(error) from None
        self.scratch = Path(name)
        self._raw = os.fdopen(handle, "wb", buffering=1 << 16)
        packed = path.name.lower().endswith(".gz")
        self._out: BinaryIO | gzip.GzipFile = (
            gzip.GzipFile("", "wb", _LEVEL, self._raw, mtime=0) if packed else self._raw
        )
        self._text = io.StringIO()
        self._text.write('{"displayTimeUnit":"ms","traceEvents":[\n')

    def write(self, events: Iterable[str]) -> None:
        """Add events, each one JSON object."""
        text = self._text
        for event in events:
            text.write(",\n" if self.events else "")
            text.write(event)
            self.events += 1
            if text.tell() > _BUFFER:
                self._flush()

    def _flush(self) -> None:
        try:
            self._out.write(self._text.getvalue().encode())
        except OSError as error:
            raise self._refused(error) from None
        self._text.seek(0)
        self._text.truncate()

    def finish(self) -> Path:
        """End the file; return its scratch name."""
        self._text.write("\n]}\n")
        self._flush()
        try:
            self._out.close()
            self._raw.close()
            self.scratch.chmod(0o666 & ~umask())
        except OSError as error:
            raise self._refused(error) from None
        return self.scratch

    def publish(self) -> None:
        """Put the file in its place, once `finish` has ended it."""
        try:
            self.scratch.replace(self.path)
        except OSError as error:
            raise self._refused(error) from None
        self.published = True

    def discard(self) -> None:
        """Leave nothing behind, unless the file stands in its place."""
        self._raw.close()
        self.scratch.unlink(missing_ok=True)

    def _refused(self, error: OSError) -> BadInput:
        reason = error.strerror or str(error)
        return BadInput(WHERE, f"cannot write {self.path}: {reason}", "a writable place")
