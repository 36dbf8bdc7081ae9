"""The table of designs side by side: what differs, what it gives, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tierlab.simulator.report.figures import COST, INSTALLED, figure, setting, short_key, shown
from tierlab.simulator.report.markup import figure_cell, table, text
from tierlab.simulator.report.read import RunData
from tierlab.simulator.sweep.figures import flat

GROUPS = {
    "Cost and energy": (
        COST,
        "sized_usd_per_h",
        INSTALLED,
        "joules_per_output_token",
    ),
    "What requests experience": (
        "slo_attainment",
        "ttft_p50_s",
        "ttft_p99_s",
        "tpot_p50_s",
        "tpot_p99_s",
        "e2e_p50_s",
        "e2e_p99_s",
    ),
    "What the machine does": (
        "goodput_requests_per_s",
        "output_tokens_per_s",
        "hit_ratio",
        "completed_share",
        "preemptions",
        "simulated_s",
    ),
}
_SILENT = ("title",)


def differences(runs: Sequence[RunData]) -> dict[str, list[Any]]:
    """Return the keys of the scenarios that differ -> the value of each run."""
    scenarios = [_settled(run) for run in runs]
    keys = dict.fromkeys(key for scenario in scenarios for key in scenario)
    values = {key: [scenario.get(key) for scenario in scenarios] for key in keys}
    return {
        key: found
        for key, found in values.items()
        if key not in _SILENT and len({repr(value) for value in _said(key, found)}) > 1
    }


def _said(key: str, values: Sequence[Any]) -> list[Any]:
    """Return what is compared: of a tier's keys, only those of runs that have the tier."""
    tier = key.startswith("tiers.") and key.count(".") > 1
    return [value for value in values if value is not None] if tier else list(values)


def _settled(run: RunData) -> dict[str, Any]:
    """Return the scenario flat: axes that its preset fills, and nothing of tiers not there."""
    scenario = dict(flat(run.scenario))
    for axis, policy in run.manifest["resolved"].get("design", {}).items():
        if scenario.get(f"design.{axis}") is None:
            scenario[f"design.{axis}"] = policy
    absent = [
        name
        for name, tier in run.scenario.get("tiers", {}).items()
        if isinstance(tier, dict) and not (tier.get("capacity", 1) or tier.get("hbm_ratio"))
    ]
    for key in scenario:
        if key.startswith(tuple(f"tiers.{name}." for name in absent)):
            scenario[key] = 0.0 if key.endswith(".capacity") else None
    return scenario


def side_by_side(runs: Sequence[RunData]) -> str:
    """Return the table; the first run is the baseline that the others are measured against."""
    head = ["", *(text(run.name) for run in runs)]
    if len(runs) > 1:
        head[1] += " <small>baseline</small>"
    return table(head, [*_settings(runs), *_figures(runs)], "designs")


def _settings(runs: Sequence[RunData]) -> Iterator[list[str]]:
    if changed := differences(runs):
        yield _group("What differs", runs)
    for key, values in changed.items():
        name = f'<span title="{text(key)}">{text(short_key(key))}</span>'
        yield [name, *(text("–" if v is None else setting(key, v)) for v in values)]


def _figures(runs: Sequence[RunData]) -> Iterator[list[str]]:
    for title, columns in GROUPS.items():
        known = [c for c in columns if any(run.figures.get(c) is not None for run in runs)]
        if known:
            yield _group(title, runs)
        yield from (_figure(runs, column) for column in known)


def _group(title: str, runs: Sequence[RunData]) -> list[str]:
    return [f"<em>{text(title)}</em>", *[""] * len(runs)]


def _figure(runs: Sequence[RunData], column: str) -> list[str]:
    known, base = figure(column), runs[0].figures.get(column)
    cells = [
        figure_cell(run.figures.get(column), None if i == 0 else base, known, _band(run, column))
        for i, run in enumerate(runs)
    ]
    return [text(known.label), *cells]


def _band(run: RunData, column: str) -> str:
    """Return the figure at both ends of the time model's band, where the run has them."""
    ends: Mapping[str, Any] = run.summary.get("bands") or {}
    found = [dict(flat(figures)).get(column) for figures in ends.values()]
    known = [float(value) for value in found if value is not None]
    if len(known) != 2:
        return ""
    kind = figure(column).kind
    return f"{shown(min(known), kind)} – {shown(max(known), kind)}"
