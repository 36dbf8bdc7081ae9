"""From TOML and ``--set`` to a validated scenario, with errors that name file and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, near, read_text
from tierlab.policies.protocol import AXES, TIERS

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from tierlab.simulator.scenario.schema import Scenario


_SHORT = {"design": "preset", "tiers": "preset"}
"""The key that a section written as a plain string sets, where it is not ``name``."""
_OWN = (".toml", ".json", ".py", ".csv")
"""Endings of files of one's own that stand where a name could."""
_NAMED = (
    ("engine", "routing"),
    ("time", "model"),
    ("time", "host"),
    *(("design", axis) for axis in AXES),
    ("tiers", "loading"),
    *(("tiers", tier, "eviction") for tier in TIERS if tier != "hbm"),
)
"""Keys, beside whole sections, that take a name or the path of such a file."""


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    BadInput
        Missing, a folder, or broken TOML, with the line.
    """
    text = read_text(path, where)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = f":{at.group(1)}" if at else ""
        what = re.sub(r" \(at .*\)$", "", str(error))
        raise BadInput(f"{path}{line}", f"broken TOML: {what}", "TOML 1.0") from None


def parse_setting(text: str) -> tuple[list[str], Any]:
    """Split ``key=value``; the value is read as TOML, and as a bare string otherwise.

    Raises
    ------
    BadInput
        There is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not equals or not all(keys):
        raise BadInput(f"--set {text}", "not of the form key=value", "engine.block_size=16")
    try:
        return keys, tomllib.loads(f"v = {value.strip()}")["v"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return keys, value.strip()


def apply_settings(data: dict[str, Any], settings: Iterable[str]) -> None:
    """Write ``--set`` values into `data`, in order.

    ``model``, ``hardware``, ``design`` and ``tiers`` given by name become tables on the way.

    Raises
    ------
    BadInput
        A setting that is not ``key=value``, or one that reaches into a plain value.
    """
    for text in settings:
        put(data, *parse_setting(text), f"--set {text}")


def put(data: dict[str, Any], keys: Sequence[str], value: Any, where: str) -> None:
    """Write one value into `data`; a section given by name becomes a table on the way.

    Raises
    ------
    BadInput
        The keys reach into a plain value.
    """
    table = data
    for depth, key in enumerate(keys[:-1]):
        inner = table.setdefault(key, {})
        if isinstance(inner, str) and depth == 0:
            inner = table[key] = {_SHORT.get(key, "name"): inner}
        if not isinstance(inner, dict):
            raise BadInput(where, f"{key} is a value, not a table", "a key of a table")
        table = inner
    table[keys[-1]] = value


def validate(data: dict[str, Any], where: str) -> Scenario:
    """Check `data` against the schema.

    Raises
    ------
    BadInput
        The first key that the schema refuses, with what would be accepted.
    """
    from pydantic import ValidationError

    from tierlab.simulator.scenario.schema import Scenario

    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise _explain(error.errors(), where, Scenario) from None


def load_scenario(path: Path, settings: Sequence[str] = ()) -> Scenario:
    """Read a scenario file and apply settings; paths inside are relative to the file."""
    data = read_scenario(path)
    apply_settings(data, settings)
    return validate(data, str(path))


def read_scenario(path: Path) -> dict[str, Any]:
    """Read a scenario file as it stands; paths inside are relative to the file."""
    data = read_toml(path, "SCENARIO")
    anchor_paths(data, path.parent)
    return data


def anchor_paths(data: dict[str, Any], folder: Path) -> None:
    """Make the paths that a scenario names relative to `folder`, the file's."""
    workload = data.get("workload")
    if isinstance(workload, dict) and isinstance(workload.get("trace"), str):
        workload["trace"] = str(folder / Path(workload["trace"]).expanduser())
    hardware = data.get("hardware")
    if isinstance(hardware, dict) and "transfers" in hardware:
        hardware["transfers"] = _anchored_each(hardware["transfers"], folder)
    for section in ("model", "hardware", "design", "tiers"):
        _anchor(data, section, folder, _SHORT.get(section, "name"))
    for *sections, key in _NAMED:
        table: Any = data
        for section in sections:
            table = table.get(section) if isinstance(table, dict) else None
        if isinstance(table, dict):
            _anchor(table, key, folder)


def _anchor(table: dict[str, Any], key: str, folder: Path, inner: str = "name") -> None:
    """Anchor what a key says as a text, or in its own table."""
    value = table.get(key)
    if isinstance(value, str):
        table[key] = _anchored(value, folder)
    elif isinstance(value, dict) and isinstance(value.get(inner), str):
        value[inner] = _anchored(value[inner], folder)


def _anchored_each(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _anchored_each(each, folder) for key, each in value.items()}
    if isinstance(value, list):
        return [_anchored_each(each, folder) for each in value]
    return str(folder / Path(value).expanduser()) if isinstance(value, str) else value


def _anchored(name: str, folder: Path) -> str:
    """Return a path under `folder` if it is there; what follows ``table:`` and so on is a path."""
    kind, colon, rest = name.rpartition(":")
    there = folder / rest
    spelt = colon or as_path(rest, _OWN) is not None
    return f"{kind}{colon}{there}" if spelt and there.exists() else name


def _explain(errors: Sequence[ErrorDetails], where: str, schema: type[BaseModel]) -> BadInput:
    first = min(errors, key=lambda e: e["type"] == "missing")
    path = [str(part) for part in first["loc"]]
    key = ".".join(p for p in path if not p.startswith(("function-", "dict[", "str")))
    at = f"{where}, key {key}" if key else where
    if first["type"] == "extra_forbidden":
        known = _fields_at(schema, path[:-1])
        return BadInput(at, f"unknown key {path[-1]!r}", near(path[-1], known))
    if first["type"] == "missing":
        return BadInput(at, "is missing", _describe(schema, path))
    what = f"{first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
    return BadInput(at, what, _describe(schema, path))


def _section(schema: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    from pydantic import BaseModel

    for part in path:
        field = schema.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return schema
        schema = inner
    return schema


def _fields_at(schema: type[BaseModel], path: Sequence[str]) -> list[str]:
    return list(_section(schema, path).model_fields)


def _describe(schema: type[BaseModel], path: Sequence[str]) -> str:
    fields = _section(schema, path[:-1]).model_fields
    return (fields[path[-1]].description or "") if path and path[-1] in fields else ""
