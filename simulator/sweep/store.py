"""The folder of a sweep: part files while it runs, three tables and a manifest when it is done.

A part file appears whole or not at all, so whatever stops a sweep, every part that is there
counts. `sweep.json` says what was asked; a sweep that asks something else cannot resume.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.comparison.simulated import read_object
from tierlab.simulator.results.folder import MARK
from tierlab.simulator.results.manifest import dump_json
from tierlab.simulator.sweep.figures import VOLATILE, Row
from tierlab.simulator.sweep.frame import part_frame, whole_frame

if TYPE_CHECKING:
    import polars as pl

ASKED, PARTS, LOCK = "sweep.json", "parts", ".lock"
POINTS, TIMING = "points.parquet", "timing.parquet"


class Store:
    """What is known of a sweep's points, on disk.

    Parameters
    ----------
    folder
        As `opened` yields it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._parts = folder, folder / PARTS
        self._parts.mkdir(exist_ok=True)
        for torn in self._parts.glob("*.tmp"):
            torn.unlink()
        self._frames = [_read(path) for path in sorted(self._parts.glob("*.parquet"))]
        numbers = [int(path.stem) for path in self._parts.glob("*.parquet")]
        self._next = max(numbers, default=-1) + 1

    @property
    def done(self) -> set[int]:
        """The points that need not run again."""
        return {point for frame in self._frames for point in frame["point"].to_list()}

    def add(self, rows: Sequence[Row]) -> None:
        """Keep the rows of some points."""
        frame = part_frame(rows)
        path = self._parts / f"{self._next:06}.parquet"
        _replace(path, frame.write_parquet)
        self._frames.append(frame)
        self._next += 1

    def frame(self, keys: Mapping[str, pl.Series]) -> pl.DataFrame:
        """Return all points that are there, in order."""
        return whole_frame(self._frames, keys)

    def finish(self, keys: Mapping[str, pl.Series], manifest: Mapping[str, Any]) -> pl.DataFrame:
        """Write the tables and the manifest, then let the parts go; return the points."""
        frame = self.frame(keys)
        steady = frame.drop(*VOLATILE)
        _replace(self._folder / POINTS, steady.write_parquet)
        _replace(self._folder / TIMING, frame.select("point", *VOLATILE).write_parquet)
        _write(self._folder / MARK, manifest)
        shutil.rmtree(self._parts)
        return steady


@contextmanager
def opened(folder: Path, asked: Mapping[str, Any], resume: bool) -> Iterator[Path]:
    """Hold the folder of a sweep for this process alone.

    Parameters
    ----------
    asked
        What decides the points and their figures.
    resume
        Whether results that are there are to be kept.

    Raises
    ------
    BadInput
        It cannot be written, holds something else or another sweep, or is in use; or there are
        results and `resume` was not asked for.
    """
    _check(folder, asked, resume)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as lock:
            _lock(lock.fileno(), folder)
            if not (folder / ASKED).exists():
                _write(folder / ASKED, asked)
            try:
                yield folder
            finally:
                (folder / LOCK).unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("-o", f"cannot write {folder}: {reason}", "a writable place") from None


def _lock(number: int, folder: Path) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        what = f"another process runs its sweep in {folder}"
        raise BadInput("-o", what, "another folder, or wait") from None


def finished(folder: Path) -> bool:
    """Return whether a folder holds a sweep whose points are all there."""
    return (folder / MARK).is_file() and (folder / POINTS).is_file()


def _check(folder: Path, asked: Mapping[str, Any], resume: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput("-o", f"{folder} is a file", "a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / ASKED).is_file():
        if any(path.name != LOCK for path in folder.iterdir()):
            what = f"{folder} holds files that are no tierlab sweep"
            raise BadInput("-o", what, "an empty or a new folder")
        return
    if not resume:
        state = "the results" if finished(folder) else "an unfinished run"
        accepted = "--resume to go on with it, or another folder"
        raise BadInput("-o", f"{folder} holds {state} of a sweep", accepted)
    _same(folder, asked)


def _same(folder: Path, asked: Mapping[str, Any]) -> None:
    before = read_object(folder / ASKED, "another folder")
    now = json.loads(dump_json(asked))
    for key in [*now, *before]:
        if before.get(key) != now.get(key):
            what = f"{key} is not what the sweep in {folder} was begun with"
            told = f"{_short(before.get(key))} before, {_short(now.get(key))} now"
            raise BadInput("--resume", f"{what}: {told}", "the same sweep, or another folder")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _read(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        return pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError:
        raise BadInput(
            "--resume", f"{path} is damaged", "its points run again without it"
        ) from None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    text = dump_json(content) + "\n"
    _replace(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def _replace(path: Path, write: Any) -> None:
    """Write a file beside `path` and put it there whole."""
    scratch = path.with_name(f"{path.name}.tmp")
    write(scratch)
    os.replace(scratch, path)
