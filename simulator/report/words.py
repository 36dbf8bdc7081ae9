"""The answer in plain words, made from figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tierlab.kernels.base.units import duration
from tierlab.simulator.choosing.choose import Choice
from tierlab.simulator.choosing.objective import Objective, Where, column_of
from tierlab.simulator.report.figures import (
    COST,
    FIGURES,
    change,
    figure,
    setting,
    short_key,
    shown,
)
from tierlab.simulator.report.read import RunData

ENOUGH = 0.99
"""Share of all requests within the SLO that counts as meeting it, as in `sweep --max-rate`."""


def slo_text(slo: Mapping[str, Any]) -> str:
    """Return ``TTFT within 2 s and TPOT within 50 ms``; empty without an SLO."""
    names = (("ttft_s", "TTFT"), ("tpot_s", "TPOT"))
    bounds = [f"{name} within {duration(slo[k])}" for k, name in names if slo.get(k) is not None]
    return " and ".join(bounds)


def meets(run: RunData) -> bool | None:
    """Say whether a run meets its SLO; None where it has none."""
    share = run.figures.get("slo_attainment")
    return None if share is None else share >= ENOUGH


def run_headline(runs: Sequence[RunData]) -> list[str]:
    """Return the answer of runs side by side, the most important sentence first."""
    slos = {slo_text(run.scenario.get("slo", {})) for run in runs}
    priced = [run for run in runs if run.figures.get(COST) is not None]
    if len(slos) == 1 and (slo := next(iter(slos))):
        return _with_slo(runs, priced, slo)
    return [*_best(runs, priced), _no_slo(len(slos) > 1)]


def _no_slo(several: bool) -> str:
    if several:
        return "The runs have different SLOs, so none is judged by one."
    return "No SLO is set, so nothing here says which latency is good enough."


def _with_slo(runs: Sequence[RunData], priced: Sequence[RunData], slo: str) -> list[str]:
    asked = f"{slo} for {ENOUGH:.0%} of all requests"
    if len(runs) == 1:
        does = "meets" if meets(runs[0]) else "does not meet"
        return [f"{runs[0].name} {does} the SLO ({asked}): {_attained(runs[0])}.", *_costs(runs[0])]
    able = [run for run in priced if meets(run)]
    if able:
        best = min(able, key=lambda run: run.figures[COST])
        first = f"The cheapest design that meets the SLO is {best.name}, at {_price(best)}"
        return [f"{first}{_against(best, runs[0])}.", f"The SLO: {asked}. {_how_many(runs)}"]
    closest = max(runs, key=lambda run: run.figures.get("slo_attainment") or 0.0)
    if any(meets(run) for run in runs):
        return [f"{_how_many(runs)} None of them has a price.", f"The SLO: {asked}."]
    told = f"No design meets the SLO. The closest is {closest.name}: {_attained(closest)}"
    return [f"{told}{_at_price(closest)}.", f"The SLO: {asked}."]


def _how_many(runs: Sequence[RunData]) -> str:
    number = sum(bool(meets(run)) for run in runs)
    verb = "meets" if number == 1 else "meet"
    return f"{number} of {len(runs)} designs {verb} it."


def _attained(run: RunData) -> str:
    return f"{shown(run.figures['slo_attainment'], 'share')} of requests are within it"


def _price(run: RunData) -> str:
    return f"{shown(run.figures[COST], 'usd')} per million output tokens"


def _at_price(run: RunData) -> str:
    return f", at {_price(run)}" if run.figures.get(COST) is not None else ""


def _costs(run: RunData) -> list[str]:
    return [f"It costs {_price(run)}."] if run.figures.get(COST) is not None else []


def _against(best: RunData, base: RunData) -> str:
    if best is base:
        return ", the baseline itself"
    part = change(best.figures[COST], base.figures.get(COST))
    told = "" if part is None else f", {abs(part):.1%} {'more' if part > 0 else 'less'} than"
    does = "which meets it too" if meets(base) else f"of whose requests {_within(base)}"
    return f"{told} the baseline {base.name}, {does}" if told else ""


def _within(run: RunData) -> str:
    return f"{shown(run.figures['slo_attainment'], 'share')} are within it"


def _best(runs: Sequence[RunData], priced: Sequence[RunData]) -> list[str]:
    if len(runs) == 1:
        wait = shown(runs[0].figures.get("ttft_p99_s"), "s")
        first = f"{runs[0].name}: the first token comes within {wait} for 99% of requests"
        return [f"{first}{_at_price(runs[0])}."]
    told = []
    if priced:
        best = min(priced, key=lambda run: run.figures[COST])
        told.append(f"The cheapest design is {best.name}, at {_price(best)}.")
    timed = [run for run in runs if run.figures.get("ttft_p99_s") is not None]
    if timed:
        fast = min(timed, key=lambda run: run.figures["ttft_p99_s"])
        wait = shown(fast.figures["ttft_p99_s"], "s")
        told.append(f"The shortest p99 TTFT has {fast.name}: {wait}.")
    return told


def point_name(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return a point by the values of its keys: ``DRAM 64 GiB, representation fp8``."""
    return ", ".join(f"{short_key(key)} {setting(key, row[key])}" for key in keys)


def sweep_headline(choice: Choice) -> list[str]:
    """Return the answer of a sweep, the most important sentence first."""
    able, total = int(choice.points["meets"].sum()), len(choice.points)
    bounds = " and ".join(_bound(bound, choice) for bound in choice.where)
    failed = int((choice.points["status"] == "failed").sum())
    note = [f"{failed} of {total} points failed."] if failed else []
    if not able:
        return [f"No point of {total} meets {bounds or 'the bounds'}.", *note]
    among = f"of {able:,} points that meet {bounds}" if bounds else f"of {able:,} points"
    told = [_best_in(choice, objective, among) for objective in choice.objectives]
    unbound = [] if bounds else ["No bound is set, so nothing here says what is good enough."]
    return [*(text for text in told if text), *unbound, *note]


def _bound(bound: Where, choice: Choice) -> str:
    """Return ``TTFT, p99 <= 2 s``; as it was written where the figure has no name."""
    column = column_of(bound.name, choice.points.columns)
    if column not in FIGURES or isinstance(bound.bound, str):
        return bound.text
    known = FIGURES[column]
    return f"“{known.label}” {_SIGNS.get(bound.test, bound.test)} {shown(bound.bound, known.kind)}"


_SIGNS = {"<=": "≤", ">=": "≥", "!=": "≠", "==": "="}


def _best_in(choice: Choice, objective: Objective, among: str) -> str:
    row = _undominated(choice, objective)
    if row is None:
        return ""
    known = figure(objective.column)
    others = [o for o in choice.objectives if o.column != objective.column]
    beside = "; ".join(_told(o.column, row) for o in others)
    word = "cheapest" if known.kind in ("usd", "usd_per_h") and not objective.maximise else "best"
    by = "" if word == "cheapest" else f" in {known.label}"
    found = f"The {word}{by} {among} is point {row['point']} ({point_name(row, choice.keys)})"
    told = f"{found}: {_told(objective.column, row)}"
    return f"{told}; {beside}." if beside else f"{told}."


def _undominated(choice: Choice, objective: Objective) -> dict[str, Any] | None:
    """Return the best point; of several as good, the best in the objectives after it."""
    best = choice.best(objective)
    if best is None:
        return None
    column = objective.column
    equal = [row for row in choice.front.to_dicts() if row[column] == best[column]]
    signs = [(o.column, -1 if o.maximise else 1) for o in choice.objectives if o != objective]
    return min(equal or [best], key=lambda row: [sign * row[name] for name, sign in signs])


def _told(column: str, row: Mapping[str, Any]) -> str:
    known = figure(column)
    name = known.label if column in FIGURES else column
    name = name[:1].lower() + name[1:] if name[1:2].islower() else name
    return f"{name} {shown(row[column], known.kind)}"
