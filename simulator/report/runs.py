"""The sections of runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tierlab.simulator.report import axes, bars, series
from tierlab.simulator.report.axes import Axis
from tierlab.simulator.report.bars import Design
from tierlab.simulator.report.charts import Chart, Line, Mark, draw, draw_bars
from tierlab.simulator.report.designs import side_by_side
from tierlab.simulator.report.explorer import explorer, of_runs
from tierlab.simulator.report.markup import bullets, grid, paragraph, section
from tierlab.simulator.report.read import RunData
from tierlab.simulator.report.trust import STANDING, cautions

_Read = Callable[[RunData], series.Points | None]


def sections(runs: Sequence[RunData]) -> Iterator[str]:
    """Yield the sections, the ones that decide first."""
    designs = [Design(run.name, run.figures) for run in runs]
    title = "Designs side by side" if len(runs) > 1 else "The design"
    yield section("designs", title, _reading(runs), side_by_side(runs))
    if len(runs) > 1:
        yield section("tradeoff", "Trade-off", explorer("runs", of_runs(runs)))
    yield section("latency", "Latency", grid(*map(draw, _latencies(runs))))
    yield section("split", "Cost and energy", grid(*split(designs)))
    tiers = grid(draw_bars(bars.tokens(designs)), *map(draw, _over_time(runs)))
    yield section("tiers", "Tiers", tiers)
    yield section("links", "Links", grid(*map(draw_bars, bars.links(designs))))
    yield trust(runs, designs)


def _reading(runs: Sequence[RunData]) -> str:
    words = []
    if len(runs) > 1:
        words.append("▲ ▼ is the difference from the first run, the baseline.")
    if any("bands" in run.summary for run in runs):
        words.append("A range under a figure is the run with all times at p10, and at p90.")
    return paragraph(" ".join(words)) if words else ""


def split(designs: Sequence[Design]) -> Iterator[str]:
    """Yield the bars of cost and energy."""
    for found in (bars.cost(designs), bars.energy(designs)):
        if found is not None:
            yield draw_bars(found)


def trust(runs: Sequence[RunData], designs: Sequence[Design]) -> str:
    """Return the section that says how far to trust the runs."""
    told = bullets([*cautions(runs), *STANDING])
    return section("trust", "How far to trust it", told, grid(draw_bars(bars.sources(designs))))


def _latencies(runs: Sequence[RunData]) -> Iterator[Chart]:
    measured = [series.latencies(run) for run in runs]
    for key, title in series.LATENCIES.items():
        found = [series.shares(one[key]) for one in measured]
        if not any(len(x) for x, _ in found):
            continue
        x = axes.logarithmic("seconds or less", "s", [x for x, _ in found])
        y = Axis("share of requests", "share", 0.0, 1.0)
        lines = _lines(runs, found)
        says = "Share of answered requests within a time."
        marks, alone = _marks(runs, key, x), len(runs) == 1
        yield Chart(title, says, x, y, lines, marks, by_height=True, alone=alone)


def _marks(runs: Sequence[RunData], key: str, x: Axis) -> list[Mark]:
    limits = {run.scenario.get("slo", {}).get(f"{key}_s") for run in runs} - {None}
    return [Mark("SLO", limit) for limit in sorted(limits) if x.low <= limit <= x.high]


def _lines(
    runs: Sequence[RunData], found: Sequence[series.Points | None], stairs: bool = False
) -> list[Line]:
    return [
        Line(run.name, *points, number, stairs)
        for number, (run, points) in enumerate(zip(runs, found, strict=True))
        if points is not None and len(points[0])
    ]


def _over_time(runs: Sequence[RunData]) -> Iterator[Chart]:
    yield from _timed(
        runs,
        "KV in HBM",
        "Held by requests on one GPU, the most in each window.",
        "bytes",
        series.hbm_held,
    )
    tiers = dict.fromkeys(
        tier for run in runs if run.tiers is not None for tier in run.tiers["tier"].unique()
    )
    below = [tier for tier in bars.TIERS if tier in tiers and tier != "hbm"]
    for tier in below:
        yield from _timed(runs, f"Held in {tier.upper()}", "All replicas.", "bytes", _held(tier))
    for tier in ("hbm", *below):
        says = "Share of the prompt tokens scheduled in a window that came from here."
        yield from _timed(runs, f"Hits in {tier.upper()}", says, "share", _served(tier))
    says = "The most in each window, all replicas."
    yield from _timed(runs, "Requests waiting", says, "count", series.waiting)


def _held(tier: str) -> _Read:
    return lambda run: series.held(run, tier)


def _served(tier: str) -> _Read:
    return lambda run: series.served(run, tier)


def _timed(
    runs: Sequence[RunData], title: str, says: str, kind: str, read: _Read
) -> Iterator[Chart]:
    found = [read(run) for run in runs]
    there = [points for points in found if points is not None]
    if not any(len(x) and np.nanmax(y, initial=0.0) > 0 for x, y in there):
        return
    x = axes.clock("simulated time", max(run.summary["simulated_s"] for run in runs))
    scaled = [None if points is None else (points[0] / x.unit_s, points[1]) for points in found]
    y = axes.linear(_UNITS[kind], kind, [y for _, y in there])
    yield Chart(title, says, x, y, _lines(runs, scaled, stairs=True), alone=len(runs) == 1)


_UNITS = {"bytes": "bytes", "share": "share of prompt tokens", "count": "requests"}
