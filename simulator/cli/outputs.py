"""Files that a command writes: checked before the work, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tierlab.kernels.base.errors import BadInput


def check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a path that could not be written when the work is done.

    Raises
    ------
    BadInput
        Its suffix is another, its folder is absent or read-only, or it is a folder itself.
    """
    accepted = " or ".join(f"FILE{s}" for s in suffixes) + " in a folder that can be written"
    fits = path.suffix in suffixes and path.parent.is_dir() and not path.is_dir()
    if not fits or not os.access(path.parent, os.W_OK):
        raise BadInput("-o", f"cannot write {path}", accepted)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a scratch file, and give it its name once it is whole.

    Raises
    ------
    BadInput
        The file system refuses.
    """
    scratch = path.with_name(f".{path.name}.part")
    try:
        write(scratch)
        scratch.replace(path)
    except OSError as error:
        what = f"cannot write {path}: {error.strerror or error}"
        raise BadInput("-o", what, "a file in a folder that can be written") from None
    finally:
        scratch.unlink(missing_ok=True)
