"""Presets of ``[tiers]``, named for the system that they imitate; every value with its source."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, near, pick, read_text

PRESETS = Path(__file__).parent / "presets"
_KEYS = ("name", "summary", "version", "tiers", "sources")


@dataclass(frozen=True)
class Preset:
    """A preset.

    Attributes
    ----------
    name, summary, version
        What it imitates, and which version of that.
    tiers
        Values of ``[tiers]``.
    sources
        Dotted key -> where its value comes from.
    """

    name: str
    summary: str
    version: str
    tiers: dict[str, Any]
    sources: dict[str, str]

    def values(self) -> dict[str, Any]:
        """Return dotted key -> value."""
        return dict(_flat("", self.tiers))


def _flat(prefix: str, table: dict[str, Any]) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict) and "name" not in value:
            out += _flat(f"{prefix}{key}.", value)
        else:
            out.append((prefix + key, value))
    return out


def tier_preset_names() -> dict[str, str]:
    """Return the shipped presets, name -> summary."""
    return {path.stem: load_preset(path.stem, "tiers").summary for path in _shipped().values()}


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in sorted(PRESETS.glob("*.toml"))}


def load_preset(name: str, where: str) -> Preset:
    """Return a preset by name, or from one's own TOML.

    Raises
    ------
    BadInput
        No such preset, broken TOML, or an unknown key beside ``[tiers]``.
    """
    path = as_path(name, (".toml",)) or pick(name, _shipped(), where, "tiers preset")
    try:
        data = tomllib.loads(read_text(path, where))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(str(path), f"broken TOML: {error}", "a preset of [tiers]") from None
    for key in data:
        if key not in _KEYS:
            raise BadInput(f"{path}, key {key}", "unknown key", near(key, _KEYS))
    if not isinstance(data.get("tiers"), dict):
        raise BadInput(str(path), "has no table [tiers]", "a preset of [tiers]")
    words = {key: str(data.get(key, "")) for key in ("summary", "version")}
    return Preset(
        name=str(data.get("name", path.stem)),
        tiers=data["tiers"],
        sources=dict(data.get("sources", {})),
        **words,
    )
