"""Files that a command writes, checked before the work."""

from __future__ import annotations

import os
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
