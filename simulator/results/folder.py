"""A run directory appears whole or not at all, and never replaces what is not one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.whole import umask

MARK = "manifest.json"


def check_target(target: Path, where: str = "-o") -> None:
    """Refuse a target that is a file, or a folder with something else in it.

    Raises
    ------
    BadInput
        As said; an earlier run's folder may be replaced.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise BadInput(where, f"{target} is a file", "a folder")
    if any(target.iterdir()) and not (target / MARK).is_file():
        raise BadInput(
            where, f"{target} holds files that are no tierlab run", "an empty or a new folder"
        )


@contextmanager
def new_folder(target: Path, where: str = "-o") -> Iterator[Path]:
    """Yield a scratch folder beside `target`; on success it takes the target's place.

    Raises
    ------
    BadInput
        The target cannot be written, or holds something else.
    """
    check_target(target, where)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(where, f"cannot write {target}: {reason}", "a writable place") from None
    try:
        yield scratch
        _swap(scratch, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(where, f"cannot write {target}: {reason}", "a writable place") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _swap(scratch: Path, target: Path) -> None:
    """Put `scratch` where `target` is; the old folder goes only once the new one stands."""
    scratch.chmod(0o755 & ~umask())
    if not target.exists():
        scratch.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / "run")
    try:
        scratch.rename(target)
    except OSError:
        (old / "run").rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
