"""TOML files of the catalogue and of users, with errors that name file and line."""

import pickle
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near, read_text

HERE = Path(__file__).parent

Table = dict[str, Any]


def read_toml(path: Path, where: str) -> Table:
    """Parse a TOML file.

    Raises
    ------
    BadInput
        It cannot be read, or is no TOML (with the line).
    """
    text = read_text(path, where)
    try:
        return pickle.loads(_parsed(text))  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        spot = f"{path}:{line[1]}" if line else f"{path}:{text.count(chr(10)) + 1}"
        raise BadInput(spot, f"broken TOML: {error}", "a valid TOML file") from None


@lru_cache(maxsize=256)
def _parsed(text: str) -> bytes:
    """Parse once what the points of a sweep read again; pickled, as each may change its table."""
    return pickle.dumps(tomllib.loads(text))


def kind_of(table: Mapping[str, Any], kinds: tuple[str, ...], where: str) -> str:
    """Return the file's `kind`, which must be one of `kinds`."""
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        what = "key 'kind' is missing" if kind is None else f"kind {kind!r} does not fit here"
        raise BadInput(where, what, "kind = " + " or ".join(f'"{k}"' for k in kinds))
    return kind


def text_of(table: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    """Return a key that holds text; without a default it is required."""
    value = table.get(key, default)
    if value is None:
        raise BadInput(where, f"required key {key!r} is missing", f'{key} = "..."')
    if not isinstance(value, str):
        raise BadInput(f"{where}: {key}", f"{value!r} is not text", f'{key} = "..."')
    return value


def aliases_of(table: Mapping[str, Any], where: str) -> list[str]:
    """Return the other names that a file goes by."""
    names = table.get("aliases", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{where}: aliases", f"{names!r} is not a list of names", '["a", "b"]')
    return names


def table_of(table: Mapping[str, Any], key: str, where: str) -> Table:
    """Return a sub-table; absent, it is empty."""
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise BadInput(f"{where}: {key}", f"{value!r} is not a table", f"[{key}]")
    return value


def refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Refuse the first key that nobody reads, with a near miss."""
    for key in table:
        if key not in known:
            raise BadInput(where, f"unknown key {key!r}", near(key, known))


def beside(name: str, folder: Path) -> str:
    """Return `name`, which, where it spells a path, stands relative to `folder`."""
    if "/" not in name and not name.lower().endswith(".toml"):
        return name
    return str(folder / name)
