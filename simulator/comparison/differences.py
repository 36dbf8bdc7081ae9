"""Two runs of tierlab: what was asked for differently, and the figures that only a run has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tierlab.simulator.comparison.compare import pair
from tierlab.simulator.comparison.simulated import read_manifest, read_summary

FIGURES = {
    "completed": "requests answered",
    "rejected": "requests rejected",
    "preemptions": "preemptions",
    "goodput_requests_per_s": "goodput, requests/s",
    "tokens.computed": "prompt tokens computed",
    "tokens.recomputed": "tokens recomputed",
    "tokens.reused": "prompt tokens reused",
    "attention_bytes": "KV bytes read by attention",
    "usd_per_million_output_tokens": "USD per million output tokens",
    "joules_per_output_token": "J per output token",
}
"""Key of a summary -> its title; a table of numbers counts as their sum."""


def settings(first: Path, second: Path) -> dict[str, dict[str, Any]]:
    """Return the keys of the scenarios that differ -> both values.

    Raises
    ------
    BadInput
        A folder is no run directory.
    """
    one, other = (dict(_flat(read_manifest(folder)["scenario"])) for folder in (first, second))
    keys = [*one, *(key for key in other if key not in one)]
    return {
        key: {"first": one.get(key), "second": other.get(key)}
        for key in keys
        if one.get(key) != other.get(key)
    }


def figures(first: Path, second: Path) -> dict[str, dict[str, float | None]]:
    """Return `FIGURES` of both runs, the first named simulated, the second measured.

    Raises
    ------
    BadInput
        A folder is no run directory.
    """
    one, other = read_summary(first), read_summary(second)
    pairs = {key: pair(_figure(one, key), _figure(other, key)) for key in FIGURES}
    return {
        key: found
        for key, found in pairs.items()
        if found["simulated"] is not None or found["measured"] is not None
    }


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _figure(summary: Mapping[str, Any], key: str) -> float | None:
    value: Any = summary
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        return float(sum(value.values()))
    return None if value is None else float(value)
