"""The journal beside the output: what was measured before a run was cut short.

Its first line says of which run it is; then one line a measurement. A line that was cut while it
was written is dropped. It is locked while a run writes to it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput

FORMAT = "tierlab-journal-1"
WRITABLE = "a writable place with free space"
Done = dict[tuple[int, str], list[float]]
"""(round, key of a point) -> samples in s."""


def journal_of(output: Path) -> Path:
    """Return where the journal of an output stands."""
    return output.with_name(f"{output.name}.journal")


def _cannot_write(path: Path, error: OSError) -> BadInput:
    return BadInput("-o", f"cannot write {path}: {error.strerror or error}", WRITABLE)


class Journal:
    """An open journal.

    Parameters
    ----------
    path
        Where it stands; made if absent.
    identity
        What must be equal for a run to go on with it.
    reserve_bytes
        Free space to make sure of before hours are spent.

    Raises
    ------
    BadInput
        It cannot be written, belongs to another run, or another process writes it.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], reserve_bytes: int = 0) -> None:
        self.path = path
        self.done: Done = {}
        self._own = False
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _cannot_write(path, error) from None
        try:
            self._lock()
            self._begin(identity, reserve_bytes)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            what = f"another run writes {self.path}"
            raise BadInput("-o", what, "another FILE, or the same when it is done") from None

    def _begin(self, identity: Mapping[str, Any], reserve_bytes: int) -> None:
        text = os.pread(self._fd, os.fstat(self._fd).st_size, 0).decode("utf-8", "replace")
        lines = text.splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        self._end = len("".join(whole).encode())
        if whole:
            self._resume(whole, dict(identity))
            return
        try:
            os.posix_fallocate(self._fd, 0, max(reserve_bytes, 1))
            os.ftruncate(self._fd, 0)
            self._append({"format": FORMAT, "identity": dict(identity)})
            self._own = True
        except OSError as error:
            self.path.unlink(missing_ok=True)
            raise _cannot_write(self.path, error) from None

    def _resume(self, whole: list[str], identity: dict[str, Any]) -> None:
        try:
            head, *rows = [json.loads(line) for line in whole]
            found = head["identity"] if head["format"] == FORMAT else None
            self.done = {(int(r["round"]), r["key"]): list(r["seconds"]) for r in rows}
        except (ValueError, KeyError, TypeError):
            found = None
        if found != identity:
            what = f"{self.path} is of another run ({_difference(found, identity)})"
            raise BadInput("-o", what, "another FILE; or delete the journal to start anew")
        self._own = True

    def add(self, turn: int, key: str, seconds: list[float]) -> None:
        """Keep one measurement.

        Raises
        ------
        BadInput
            It cannot be written; what was kept before stays.
        """
        try:
            self._append({"round": turn, "key": key, "seconds": seconds})
        except OSError as error:
            os.ftruncate(self._fd, self._end)
            raise _cannot_write(self.path, error) from None
        self.done[turn, key] = seconds

    def _append(self, line: dict[str, Any]) -> None:
        data = (json.dumps(line, separators=(",", ":")) + "\n").encode()
        written = os.pwrite(self._fd, data, self._end)
        if written < len(data):
            os.pwrite(self._fd, data[written:], self._end + written)
        self._end += len(data)

    def close(self) -> None:
        """Unlock it, and remove it if it holds no measurement."""
        if self._fd < 0:
            return
        if self._own and not self.done:
            self.path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = -1

    def remove(self) -> None:
        """Remove it, when the output stands."""
        self.path.unlink(missing_ok=True)
        self.close()


def _difference(found: Any, identity: Mapping[str, Any]) -> str:
    if not isinstance(found, dict):
        return "unreadable"
    names = [key for key in identity if found.get(key) != identity[key]]
    return "other " + ", ".join(names or ["keys"])
