"""The sections of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tierlab.simulator.choosing.choose import Choice
from tierlab.simulator.report import bars
from tierlab.simulator.report.bars import Design
from tierlab.simulator.report.charts import draw_bars
from tierlab.simulator.report.explorer import explorer, of_sweep
from tierlab.simulator.report.figures import FIGURES, figure, setting, short_key, shown
from tierlab.simulator.report.markup import (
    bullets,
    figure_cell,
    grid,
    paragraph,
    section,
    table,
    text,
)
from tierlab.simulator.report.read import SweepData
from tierlab.simulator.report.runs import split
from tierlab.simulator.report.trust import STANDING

MOST_CHOSEN = 8
MOST_FRONT = 30
_BESIDE = ("ttft_p99_s", "tpot_p99_s", "e2e_p99_s", "hit_ratio", "joules_per_output_token")


def sections(sweep: SweepData, number: int) -> Iterator[str]:
    """Yield the sections; `number` tells sweeps of one page apart."""
    choice, name = sweep.choice, f"sweep{number}"
    yield section(f"{name}-points", "All points", explorer(name, of_sweep(choice)))
    yield section(f"{name}-front", "Worth having: the Pareto set", *_front(choice))
    yield section(f"{name}-moved", "What moved the answer", _moved(choice))
    designs = _chosen(choice)
    if designs and "tokens.input" in choice.points.columns:
        told = paragraph(
            f"The baseline, which is the first point, and the Pareto set: {len(designs)} points."
        )
        drawn = (*split(designs), draw_bars(bars.tokens(designs)))
        links = map(draw_bars, bars.links(designs))
        yield section(f"{name}-split", "What they are made of", told, grid(*drawn, *links))
        drawn = (draw_bars(bars.sources(designs)),)
    else:
        drawn = ()
    told = bullets([*_cautions(choice), *_standing(choice)])
    yield section(f"{name}-trust", "How far to trust it", told, grid(*drawn))


def _standing(choice: Choice) -> tuple[str, ...]:
    """Return what holds for every simulated point; plans simulate nothing."""
    return STANDING if "simulated_s" in choice.points.columns else ()


def _baseline(choice: Choice) -> Mapping[str, Any]:
    return next((r for r in choice.points.iter_rows(named=True) if r["status"] == "ok"), {})


def _front(choice: Choice) -> Iterator[str]:
    base, rows = _baseline(choice), choice.front.head(MOST_FRONT).to_dicts()
    if not rows:
        return
    names = " and ".join(figure(o.column).label for o in choice.objectives)
    words = f"No other point that meets the bounds is as good in {names} and better in one."
    if len(choice.front) > MOST_FRONT:
        words += f" The first {MOST_FRONT} of {len(choice.front)}."
    yield paragraph(f"{words} ▲ ▼ is the difference from the baseline, the first point.")
    columns = choice.columns()[1 + len(choice.keys) :]
    columns += [c for c in _BESIDE if c in choice.points.columns and c not in columns]
    keys = [f'<span title="{text(k)}">{text(short_key(k))}</span>' for k in choice.keys]
    head = ["point", *keys, *(text(_label(c)) for c in columns)]
    told = [("baseline", base)] if base and base["point"] not in [r["point"] for r in rows] else []
    told += [(str(row["point"]), row) for row in rows]
    yield table(head, [_row(choice, columns, name, row, base) for name, row in told], "front")


def _label(column: str) -> str:
    return FIGURES[column].label if column in FIGURES else column


def _row(
    choice: Choice, columns: list[str], name: str, row: Mapping[str, Any], base: Mapping[str, Any]
) -> list[str]:
    against: Mapping[str, Any] = {} if row["point"] == base.get("point") else base
    label = f"{name} (baseline)" if row["point"] == base.get("point") != name else name
    label = label if name != "baseline" else f"{row['point']} (baseline)"
    keys = [text(setting(key, row[key])) for key in choice.keys]
    cells = [figure_cell(row[c], against.get(c), figure(c)) for c in columns]
    return [text(label), *keys, *cells]


def _moved(choice: Choice) -> str:
    objective = choice.objectives[0]
    kind = figure(objective.column).kind
    words = (
        f"How far the mean of {_label(objective.column)} moves over the values of each key, all "
        "other keys taken together. What two keys do only together is in neither."
    )
    head = ["key", "values", "moves by", "of the mean", "of the variance", "best at"]
    rows = [
        [
            f'<span title="{text(row["key"])}">{text(short_key(row["key"]))}</span>',
            str(row["levels"]),
            text(shown(row["effect"], kind)),
            text(shown(row["relative"], "share")),
            _meter(row["variance_share"]),
            text(row["best"]),
        ]
        for row in choice.sensitivity.iter_rows(named=True)
    ]
    return paragraph(words) + table(head, rows) if rows else ""


def _meter(share: float | None) -> str:
    part = min(max(share or 0.0, 0.0), 1.0)
    width = f"width:{100 * part:.1f}%"
    return f'<span class="meter"><i style="{width}"></i></span> {part:.0%}'


def _chosen(choice: Choice) -> list[Design]:
    """Return the baseline and the first points of the Pareto set."""
    base = _baseline(choice)
    rows = [base, *choice.front.head(MOST_CHOSEN).to_dicts()] if base else []
    found: dict[int, Design] = {}
    for row in rows:
        word = " (baseline)" if row is base else ""
        told = ", ".join(setting(key, row[key]) for key in choice.keys)
        found.setdefault(row["point"], Design(f"{row['point']}{word}: {told}", row))
    return list(found.values())


def _cautions(choice: Choice) -> Iterator[str]:
    rows = [row for row in choice.points.iter_rows(named=True) if row["status"] == "ok"]
    failed = len(choice.points) - len(rows)
    if failed:
        first = next(row["error"] for row in choice.points.iter_rows(named=True) if row["error"])
        yield f"{failed} points failed and are not drawn; the first: {first}"
    few = [row["completed"] for row in rows if row.get("completed") is not None]
    if few and min(few) < 2000:
        yield (
            f"The smallest point answered {min(few):,} requests: its p99 rests on "
            f"{min(few) // 100} of them."
        )
    short = sum((row.get("completed_share") or 1.0) < 1.0 for row in rows)
    if short:
        yield f"{short} points did not answer all requests; latencies leave the others out."
    measured = any(row.get("sources.executed") or row.get("sources.calibrated") for row in rows)
    if not measured:
        yield (
            "No time was measured: all come from datasheets. That ranks designs; it is no "
            "measurement. `tierlab run --bands` on a point says how far its times may be off."
        )
