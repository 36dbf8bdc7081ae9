"""Files that appear whole or not at all."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tierlab.kernels.base.errors import BadInput


def write_whole(
    path: Path,
    write: Callable[[Path], object],
    where: str,
    accepted: str = "a path in a folder that can be written",
) -> None:
    """Let `write` fill a scratch file beside `path`, and give it its name once it is whole.

    Parameters
    ----------
    where, accepted
        The option that named it, and what would do, for errors.

    Raises
    ------
    BadInput
        The file system refuses; an earlier file stays, and nothing else is left.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(scratch)
        scratch.replace(path)
    except OSError as error:
        what = f"cannot write {path}: {error.strerror or error}"
        raise BadInput(where, what, accepted) from None
    finally:
        with suppress(OSError):
            scratch.unlink()


def umask() -> int:
    """Return what a new file's permissions lack; the system tells only while it is changed."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
