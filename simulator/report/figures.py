"""Figures as people read them: name, unit, and which way is better."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tierlab.kernels.base.units import duration, gib, si
from tierlab.simulator.choosing.objective import is_high

COST, INSTALLED = "sized_usd_per_million_output_tokens", "usd_per_million_output_tokens"


@dataclass(frozen=True)
class Figure:
    """One figure of a run or a point.

    Attributes
    ----------
    kind
        How it is written: s, bytes, usd, usd_per_h, share, j, per_s, count, number or text.
    high
        Whether more is better; None where neither is.
    """

    column: str
    label: str
    kind: str
    high: bool | None = False


FIGURES = {
    f.column: f
    for f in (
        Figure(COST, "Cost per million output tokens, tiers as sized", "usd"),
        Figure(INSTALLED, "Cost per million output tokens, as installed", "usd"),
        Figure("sized_usd_per_h", "Cost of an hour, tiers as sized", "usd_per_h"),
        Figure("usd_total", "Cost of the run, as installed", "usd", None),
        Figure("ttft_p50_s", "TTFT, median", "s"),
        Figure("ttft_p99_s", "TTFT, p99", "s"),
        Figure("tpot_p50_s", "TPOT, median", "s"),
        Figure("tpot_p99_s", "TPOT, p99", "s"),
        Figure("e2e_p50_s", "E2E, median", "s"),
        Figure("e2e_p99_s", "E2E, p99", "s"),
        Figure("queue_p99_s", "Queueing, p99", "s"),
        Figure("slo_attainment", "Requests that met the SLO", "share", True),
        Figure("goodput_requests_per_s", "Goodput", "per_s", True),
        Figure("max_rate_per_s", "Highest rate that holds", "per_s", True),
        Figure("completed_share", "Requests answered", "share", True),
        Figure("preemptions", "Preemptions", "count"),
        Figure("output_tokens_per_s", "Output tokens", "per_s", True),
        Figure("hit_ratio", "Prompt tokens reused", "share", True),
        Figure("joules_per_output_token", "Energy per output token", "j"),
        Figure("simulated_s", "Simulated time", "s", None),
        Figure("requests", "Requests", "count", None),
        Figure("largest_batch", "Largest batch", "count", True),
        Figure("largest_context", "Largest context, tokens", "count", True),
        Figure("prefill.step_s", "Prefill", "s"),
        Figure("decode.tpot_s", "TPOT", "s"),
        Figure("decode.tokens_per_s", "Output tokens", "per_s", True),
    )
}
_KINDS = (
    (r"usd_per_h($|\.)", "usd_per_h"),
    (r"usd", "usd"),
    (r"joules", "j"),
    (r"(_bytes|\.bytes|bytes_\w+|\.capacity|\.(up|down))$", "bytes"),
    (r"_per_s$", "per_s"),
    (r"(_share|_ratio|attainment|_fraction)$|^sources\.", "share"),
    (r"_s$", "s"),
)


def figure(column: str) -> Figure:
    """Return what is known of a figure; by its name where nothing else is."""
    if column in FIGURES:
        return FIGURES[column]
    kind = next((kind for pattern, kind in _KINDS if re.search(pattern, column)), "number")
    return Figure(column, column, kind, is_high(column))


def shown(value: Any, kind: str) -> str:
    """Write a value with its unit; a dash where there is none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return _WRITTEN.get(kind, _number)(float(value))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"


def _usd(value: float) -> str:
    return f"${value:,.2f}" if abs(value) >= 0.995 or value == 0 else f"${value:.3g}"


_WRITTEN = {
    "s": duration,
    "bytes": gib,
    "usd": _usd,
    "usd_per_h": lambda value: f"{_usd(value)}/h",
    "share": lambda value: f"{100 * value:.4g}%",
    "j": lambda value: si(value, "J"),
    "per_s": lambda value: f"{value:,.4g}/s",
    "count": _number,
}


def setting(key: str, value: Any) -> str:
    """Write the value of a scenario's key."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        kind = figure(key).kind
        decimal = kind == "bytes" and value >= 1e9 and value % 1e9 == 0
        return si(float(value), "B") if decimal else shown(value, kind)
    return str(value)


def short_key(key: str) -> str:
    """Return the part of a key that a person needs: ``tiers.dram.capacity`` is DRAM."""
    parts = key.split(".")
    if parts[0] == "tiers" and len(parts) == 3:
        name = parts[1].upper()
        return name if parts[2] == "capacity" else f"{name} {parts[2]}"
    return parts[-1].replace("_", " ")


def change(value: Any, base: Any) -> float | None:
    """Return the relative difference from a baseline; None where there is none."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (value, base))
    return (value - base) / abs(base) if numbers and base else None
