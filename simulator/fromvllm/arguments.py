"""vLLM's engine arguments as they were written: a file of any kind, or a command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import read_text
from tierlab.simulator.fromvllm.command import is_command, read_command
from tierlab.simulator.fromvllm.flatyaml import read_yaml
from tierlab.simulator.fromvllm.resolved import flatten, is_resolved

OPTION = "--from-vllm"
ACCEPTED = "JSON, YAML or a vllm serve command line, in a file or quoted"


@dataclass(frozen=True)
class Arguments:
    """Engine arguments by vLLM's Python names (``max_num_seqs``).

    Attributes
    ----------
    where
        What they were read from, for errors.
    values
        Name -> value as written; from a command line all values are text, or True and False.
    server
        Whether they start the API server, whose defaults differ from the `LLM` class's.
    """

    where: str
    values: dict[str, Any]
    server: bool


def read_arguments(config: str) -> Arguments:
    """Read the file `config`, or `config` itself where it is a command line.

    Raises
    ------
    BadInput
        There is no such file, or it is none of the accepted forms.
    """
    path = _path(config)
    if path is None:
        return _from_command(config, OPTION)
    text = read_text(path, OPTION)
    if path.suffix.lower() == ".json" or text.lstrip().startswith("{"):
        return _from_json(text, str(path))
    if path.suffix.lower() not in (".yaml", ".yml") and is_command(text):
        return _from_command(text, str(path))
    return Arguments(str(path), _named(read_yaml(text, str(path)), str(path)), True)


def _path(config: str) -> Path | None:
    """Return the file that `config` names, or None where it is a command line."""
    path = Path(config)
    try:
        if path.exists():
            return path
    except OSError:
        pass
    if is_command(config):
        return None
    raise BadInput(OPTION, f"no such file: {config}", ACCEPTED)


def _from_command(text: str, where: str) -> Arguments:
    values = _named(read_command(text, where), where)
    file = values.pop("config", None)
    if file is None:
        return Arguments(where, values, True)
    under = _named(
        read_yaml(read_text(Path(str(file)), f"{where}, --config"), str(file)), str(file)
    )
    return Arguments(where, under | values, True)


def _from_json(text: str, where: str) -> Arguments:
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"{where}{line}", "broken JSON", "an object of engine arguments") from None
    if not isinstance(data, dict):
        raise BadInput(where, f"a JSON {type(data).__name__}", "an object of engine arguments")
    return Arguments(where, flatten(data) if is_resolved(data) else _named(data, where), False)


def _named(values: dict[str, Any], where: str) -> dict[str, Any]:
    """Spell names as Python does; ``a.b`` sets a part of the argument ``a``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        whole, _, part = name.replace("-", "_").partition(".")
        if not part and whole in found:
            raise BadInput(where, f"{whole} is given twice", "one value an argument")
        found[whole] = {**_parts(found.get(whole)), part: value} if part else value
    return found


def _parts(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
