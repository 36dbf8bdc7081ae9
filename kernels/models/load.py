"""Find a model: by a name of the catalogue, by its Hugging Face id, or by a path."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, fold, near, read_text
from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.config import Config
from tierlab.kernels.models.families.registry import read_model

CATALOGUE = Path(__file__).parent / "catalogue"
"""One file a model: its config.json, and under ``_tierlab`` aliases, source and figures."""


@cache
def catalogue() -> dict[str, Config]:
    """Return name -> config.json of every built-in model."""
    files = sorted(CATALOGUE.glob("*.json"), key=lambda path: path.stem.lower())
    return {f.stem: Config.parse(f.read_text(encoding="utf-8"), f.stem) for f in files}


def model_names() -> dict[str, str]:
    """Return name -> one-line summary of every built-in model."""
    return {name: c.section("_tierlab").text("summary") for name, c in catalogue().items()}


def model_aliases() -> dict[str, str]:
    """Return alias (a Hugging Face id) -> name of the catalogue."""
    return {a: n for n, c in catalogue().items() for a in c.section("_tierlab").texts("aliases")}


def load_model(name_or_path: str, where: str = "--model") -> Model:
    """Return a model.

    Parameters
    ----------
    name_or_path
        A name or alias of the catalogue in any case; else a path to a ``config.json``, or to a
        folder that holds one.
    where
        What the name was given as, for errors.

    Raises
    ------
    BadInput
        There is no such model or file, or its content makes no sense.
    """
    known = {n: n for n in catalogue()} | model_aliases()
    name = {fold(k): n for k, n in known.items()}.get(fold(name_or_path))
    if name is not None:
        return _built_in(name)
    path = Path(name_or_path).expanduser()
    if as_path(name_or_path, (".json",)) is None and not path.is_dir():
        raise BadInput(where, f"unknown model {name_or_path!r}", near(name_or_path, known))
    return _from_path(path, where, known)


@cache
def _built_in(name: str) -> Model:
    config = catalogue()[name]
    return replace(read_model(config), name=name, source=config.section("_tierlab").text("source"))


def _from_path(path: Path, where: str, known: dict[str, str]) -> Model:
    file = path / "config.json" if path.is_dir() else path
    if not file.exists() and file.suffix.lower() != ".json":
        raise BadInput(where, f"neither a known model nor a file: {path}", near(str(path), known))
    model = read_model(Config.parse(read_text(file, where), str(file)))
    name = file.resolve().parent.name if file.name == "config.json" else file.stem
    return replace(model, name=name, source=str(file))
