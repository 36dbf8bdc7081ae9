"""Where times come from, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def time_rows(times: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the time model of a run, and what its typical steps rest on."""
    rows = [("time model", str(times["model"]))]
    if times["prefill"] is None:
        return rows
    prefill, decode = times["prefill"], times["decode"]
    return [
        *rows,
        (f"  prefill of {prefill['tokens']:,}", origin(prefill)),
        (f"  {decode['requests']:,} decoding at {decode['context']:,}", origin(decode)),
    ]


def origin(step: Mapping[str, Any]) -> str:
    """Return the shares of a step's time by source, its band, and what was not measured."""
    told = f"{shares(step['origins'])}; p10 to p90 {_band(step)}"
    return f"{told}; {step['outside']:.1%} outside measured shapes" if step["outside"] else told


def _band(step: Mapping[str, Any]) -> str:
    low, high = (step[end] / step["seconds"] - 1.0 for end in ("p10_s", "p90_s"))
    return f"{low:+.1%} to {high:+.1%}"


def shares(by_source: Mapping[str, float]) -> str:
    """Return shares by name, in their order; none where there is nothing."""
    return ", ".join(f"{name} {share:.1%}" for name, share in by_source.items() if share > 0)
