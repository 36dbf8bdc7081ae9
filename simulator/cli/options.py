"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from tierlab.kernels.base.errors import BadInput

F = TypeVar("F", bound=Callable[..., Any])

model = click.option(
    "--model", required=True, metavar="M", help="Catalogue name, or path of a config.json."
)
hardware = click.option(
    "--hardware", required=True, metavar="H", help="GPU, system, 8xGPU, or path of a TOML."
)
design = click.option(
    "--design", default=None, metavar="PRESET", help="KV design: preset or path of a TOML."
)
settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one key of the scenario, e.g. engine.block_size=32. Repeatable.",
)
output = click.option(
    "-o",
    "--output",
    "output",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="Write tables (Parquet), summary and manifest to this folder.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
bands = click.option(
    "--bands", is_flag=True, help="Also simulate at both ends of the time model's error band."
)

timeline = click.option(
    "--timeline",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[FILE]",
    help="Write a trace for ui.perfetto.dev to FILE (.json or .json.gz), or into the -o folder.",
)
timeline_window = click.option(
    "--timeline-window",
    default=None,
    metavar="START:END",
    help="Part of simulated time that the timeline shows, e.g. 10s:20s.",
)


def simulation(command: F) -> F:
    """Add what ``run`` and ``replay`` have in common."""
    for option in (bands, timeline_window, timeline, as_json, output, settings):
        command = option(command)
    return command


def refuse(owner: str, names: tuple[str, ...]) -> None:
    """Refuse options that were given, whatever their values, where they would not be looked at.

    Raises
    ------
    BadInput
        One of `names` was given on the command line; it goes with `owner`.
    """
    context = click.get_current_context()
    for option in context.command.params:
        name = str(option.name)
        if name in names and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise BadInput(option.opts[0], f"goes with {owner} only", f"{owner}, or without it")
