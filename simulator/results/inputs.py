"""Every file of the user's that a scenario makes the run read, but for the request log."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tierlab.kernels.base.names import as_path
from tierlab.simulator.scenario.schema import Scenario

_SUFFIXES = (".toml", ".py", ".json", ".csv")
_HEADS = (".name", ".preset")
_LOG = "workload.trace"
_TRANSFERS = "hardware.transfers"


def input_files(scenario: Scenario) -> dict[str, Path]:
    """Return key -> file: catalogue files in place of names, policies, routers, measured times.

    A file that another one names stands behind it: ``design:reuse`` is the policy's own file where
    ``design`` is a preset of one's own. Of a folder each file has its name in it behind a slash.
    """
    return dict(_named("", scenario.model_dump(exclude={"title"}), Path()))


def _named(key: str, value: Any, folder: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(value, dict):
        for inner, each in value.items():
            between = "" if not key or key.endswith(":") else "."
            yield from _named(f"{key}{between}{inner}", each, folder)
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _named(f"{key}.{at}", each, folder)
    elif isinstance(value, str) and key != _LOG:
        short = next((key.removesuffix(head) for head in _HEADS if key.endswith(head)), key)
        yield from _files(short, value, folder)


def _files(key: str, value: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the file that a text spells, those that it names, or those of a folder."""
    if key == "time.model" and ":" in value:
        value = value.partition(":")[2]
    if key.startswith(_TRANSFERS):
        yield key, Path(value).expanduser()
    elif value.lower().endswith(_SUFFIXES):
        path = folder / (as_path(value, _SUFFIXES) or value)
        if path.is_file():
            yield key, path
            if path.suffix.lower() == ".toml":
                yield from _within(key, path)
    elif key == "model" and (path := Path(value).expanduser() / "config.json").is_file():
        yield key, path
    elif key == "time.model" and (path := Path(value).expanduser()).is_dir():
        found = (each for each in sorted(path.rglob("*")) if each.is_file())
        yield from ((f"{key}/{each.relative_to(path).as_posix()}", each) for each in found)


def _within(key: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield what a TOML names: hardware beside itself, policies from where the run began."""
    folder = path.parent if key.startswith("hardware") else Path()
    yield from _named(f"{key}:", tomllib.loads(path.read_text(encoding="utf-8")), folder)
