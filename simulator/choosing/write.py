"""A choice beside the points it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.choosing.choose import Choice
from tierlab.simulator.results.manifest import dump_json

CHOSEN, CHOICE = "chosen.parquet", "choice.json"


def write_choice(choice: Choice, told: dict[str, Any], folder: Path) -> None:
    """Write the points with `meets` and `pareto`, and what is told of them, each file whole.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    scratch = folder / f"{CHOSEN}.tmp"
    try:
        choice.points.write_parquet(scratch)
        scratch.replace(folder / CHOSEN)
        scratch = folder / f"{CHOICE}.tmp"
        scratch.write_text(dump_json(told) + "\n", encoding="utf-8")
        scratch.replace(folder / CHOICE)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("DIR", f"cannot write {folder}: {reason}", "a writable place") from None
