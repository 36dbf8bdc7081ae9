"""Where times come from, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tierlab.kernels.ops.routing import named


def time_rows(times: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the time model of a run, and what its typical steps rest on."""
    rows = [("time model", str(times["model"])), *experts(times)]
    if times["prefill"] is None:
        return rows
    prefill, decode = times["prefill"], times["decode"]
    return [
        *rows,
        (f"  prefill of {prefill['tokens']:,}", origin(prefill)),
        (f"  {decode['requests']:,} decoding at {decode['context']:,}", origin(decode)),
    ]


def experts(of: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how tokens are taken to choose experts; no row where there are none."""
    routing = of.get("expert_routing")
    return [] if routing is None else [("  experts chosen", f"{named(routing)} (assumed)")]


def origin(step: Mapping[str, Any]) -> str:
    """Return the shares of a step's time by source, its band, and what was not measured."""
    told = f"{shares(step['origins'])}; band {_band(step)}"
    return f"{told}; {step['outside']:.1%} not measured" if step["outside"] else told


def _band(step: Mapping[str, Any]) -> str:
    middle = step["seconds"] or 1.0
    low, high = ((step[end] - step["seconds"]) / middle for end in ("p10_s", "p90_s"))
    return f"{low:+.1%} to {high:+.1%}"


def shares(by_source: Mapping[str, float]) -> str:
    """Return shares by name, in their order; none where there is nothing."""
    return ", ".join(f"{name} {_part(share)}" for name, share in by_source.items() if share > 0)


def _part(share: float) -> str:
    """Return a share without a nought for what is there, or a whole for what is not all."""
    if share < 0.0005:
        return "under 0.1%"
    return f"{min(share, 0.999) if share < 1.0 - 1e-9 else share:.1%}"
