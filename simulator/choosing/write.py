"""A choice beside the points it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tierlab.kernels.base.whole import write_whole
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
    text = dump_json(told) + "\n"
    write_whole(folder / CHOSEN, choice.points.write_parquet, "DIR")
    write_whole(folder / CHOICE, lambda file: file.write_text(text, encoding="utf-8"), "DIR")
