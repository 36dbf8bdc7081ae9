"""A log file: plain, gzip or zstd by content, read as a stream of lines that know their number."""

from __future__ import annotations

import gzip
import hashlib
import os
import reprlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.tally import Tally

Progress = Callable[[int, int], None]
"""Called with (bytes of the file done, bytes of the file)."""

HEAD_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 20
_ZSTD_BLOCK_BYTES = 1 << 15  # block ids compress 50-fold and more: bounds what one step inflates
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SHOWN = reprlib.Repr()  # a value may be a million items long or nested past the stack
_SHOWN.maxstring = _SHOWN.maxlong = _SHOWN.maxother = 160


class Log:
    """A log file that a reader reads.

    Parameters
    ----------
    path, where
        The file, and the option or key that named it.
    progress
        Called as the file is read.
    tally
        Counts what becomes of the log's records; by default the first bad one stops the reading.

    Raises
    ------
    BadInput
        The file is missing, a folder, unreadable, empty, or its compressed data are damaged.
    """

    def __init__(
        self,
        path: str,
        where: str,
        progress: Progress | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.path = Path(path).expanduser()
        self.tally = tally or Tally()
        self.unit = ""  # set to "row " where rows are counted, not lines
        self._progress = progress
        self.size_bytes, magic = _measure(self.path, where)
        self.compressed = magic[:2] == _GZIP or magic == _ZSTD
        self._blocks = _zstd if magic == _ZSTD else _gzip if self.compressed else _plain
        self.head = next(self._stream(), b"")[:HEAD_BYTES]

    @property
    def name(self) -> str:
        """The file's name without the endings of compression and format."""
        stem = self.path.name
        for suffix in (".gz", ".zst"):
            stem = stem.removesuffix(suffix)
        return Path(stem).stem or self.path.name

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number from 1, line without its end) for every line, in bounded memory."""
        number = 0
        rest: list[bytes] = []  # pieces of a line that is not at its end: joined once
        for block in self._stream():
            first, *lines = block.split(b"\n")
            rest.append(first)
            if lines:
                last = lines.pop()
                for line in (b"".join(rest), *lines):
                    number += 1
                    yield number, line.removesuffix(b"\r")
                rest = [last]
        if line := b"".join(rest):
            yield number + 1, line

    def report(self, done_bytes: int) -> None:
        """Tell the progress hook how many bytes of the file are done."""
        if self._progress:
            self._progress(min(done_bytes, self.size_bytes), self.size_bytes)

    def place(self, line: int) -> str:
        """Return how an error names a line (or row) of this file."""
        return f"{self.path}: {self.unit}{line}" if self.unit else f"{self.path}:{line}"

    def fault(self, line: int, field: str, value: object, accepted: str) -> BadInput:
        """Return the error for one field of one line."""
        shown = _SHOWN.repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        return BadInput(self.place(line), f"{field} = {shown}", accepted)

    def sha256(self) -> str:
        """Return the SHA-256 of the file as stored, in hex."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _stream(self) -> Iterator[bytes]:
        import zstandard

        try:
            with self.path.open("rb") as file:
                for block in self._blocks(file):
                    self.report(file.tell())
                    yield block
        except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
            what = f"compressed data are damaged or cut short: {error}"
            raise BadInput(str(self.path), what, "a whole file") from None
        except OSError as error:
            raise BadInput(str(self.path), f"cannot read: {error.strerror or error}") from None


def _measure(path: Path, where: str) -> tuple[int, bytes]:
    """Return the size and the first 4 bytes of a file that can be read."""
    if path.is_dir():
        raise BadInput(where, f"{path} is a folder", "a trace file")
    try:
        with path.open("rb") as file:
            size, magic = os.fstat(file.fileno()).st_size, file.read(4)
    except FileNotFoundError:
        raise BadInput(where, f"no such file: {path}", "a path to a trace") from None
    except OSError as error:
        what = f"cannot read {path}: {error.strerror or error}"
        raise BadInput(where, what, "a readable file") from None
    if not magic:
        raise BadInput(str(path), "empty file", "a trace of 1 request or more")
    return size, magic


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block


def _gzip(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def _zstd(file: BinaryIO) -> Iterator[bytes]:
    """Yield what the frames hold; unlike zstandard's stream_reader, refuse a frame cut short."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor()
    frame, open_frame = decompressor.decompressobj(), False
    while data := file.read(_ZSTD_BLOCK_BYTES):
        while data:
            yield frame.decompress(data)
            open_frame, data = not frame.eof, frame.unused_data
            if frame.eof:
                frame = decompressor.decompressobj()
    if open_frame:
        raise EOFError("the last zstd frame has no end")
