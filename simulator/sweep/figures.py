"""Figures of one point as one flat row: numbers, words and yes or no, by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Row = dict[str, Any]
MARKS = {"mean", "p50", "p90", "p99"}
VOLATILE = ("wall_s", "cpu_s")
"""What differs between equal sweeps: seconds of clock and of processor that a point took."""
NAMED_ELSEWHERE = {"model", "hardware", "design"}
"""Of a plan: what a point's own columns, or the base scenario, already say."""


def run_figures(summary: Mapping[str, Any]) -> Row:
    """Return the summary of a run, flat, with the shares and dollars that choosing needs.

    ``ttft_s`` becomes ``ttft_mean_s``, ``ttft_p50_s``, ...; other tables get dots.
    """
    row = dict(flat(summary))
    steady = {name: value for name, value in row.items() if name not in VOLATILE}
    return steady | _shares(summary) | _sized(summary)


def plan_figures(plan: Mapping[str, Any]) -> Row:
    """Return a plan, flat."""
    return dict(flat({k: v for k, v in plan.items() if k not in NAMED_ELSEWHERE}))


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the figures of nested tables by dotted name; lists as JSON text."""
    for key, value in table.items():
        if isinstance(value, Mapping) and set(value) == MARKS and key.endswith("_s"):
            stem = prefix + key.removesuffix("_s")
            yield from ((f"{stem}_{mark}_s", value[mark]) for mark in value)
        elif isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value) if isinstance(value, list) else value


def _shares(s: Mapping[str, Any]) -> Row:
    """Return shares of requests that completed and met the SLO, and of prompt tokens reused."""
    requests, prompt = s["requests"], s["tokens"]["input"]
    goodput = s["goodput_requests_per_s"]
    reused = sum(s["tokens"]["reused"].values())
    return {
        "completed_share": s["completed"] / requests if requests else None,
        "slo_attainment": (
            goodput * s["simulated_s"] / requests if requests and goodput is not None else None
        ),
        "hit_ratio": reused / prompt if prompt else None,
    }


def _sized(s: Mapping[str, Any]) -> Row:
    """Return dollars with tiers of exactly these sizes; None where something has no price.

    Of an hour, as `tierlab.simulator.sizing.dollars` counts it, and of a million output tokens.
    """
    parts, output = s["usd_per_h"]["sized"], s["tokens"]["output"]
    per_h = None if parts is None else parts["gpu"] + sum(v for k, v in parts.items() if k != "gpu")
    per_token = per_h * s["simulated_s"] / 3600 / output if per_h is not None and output else None
    return {
        "sized_usd_per_h": per_h,
        "sized_usd_per_million_output_tokens": None if per_token is None else per_token * 1e6,
    }
