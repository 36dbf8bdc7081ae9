"""Charts as markup that stretches to its place: SVG geometry, and text that keeps its size.

The geometry lies in a square of 1000 x 1000 that is stretched; what a hover reads is worked out
from it and the ends of the axes, so that no number is in the page twice.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tierlab.simulator.report.axes import Axis, Floats
from tierlab.simulator.report.figures import shown

SERIES = 7
"""Colours; beyond them they come again, dashed."""
_END = 0.93
"""Share of an axis past which a label would leave a phone's page."""


@dataclass(frozen=True, eq=False)
class Line:
    """A named line; `number` is its colour."""

    name: str
    x: Floats
    y: Floats
    number: int
    stairs: bool = False


@dataclass(frozen=True, eq=False)
class Mark:
    """A bound, drawn across the chart at a value of x."""

    name: str
    x: float


@dataclass(frozen=True, eq=False)
class Chart:
    """Lines over two axes.

    Attributes
    ----------
    by_height
        A hover reads the x of each line at one height, as of shares of requests.
    alone
        The lines are of one thing, which needs no name.
    """

    title: str
    says: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    by_height: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Bar:
    """One bar of parts; each part: (number of its colour, name, size)."""

    name: str
    parts: Sequence[tuple[int, str, float]]
    note: str = ""


@dataclass(frozen=True)
class Bars:
    """Stacked bars of one scale."""

    title: str
    says: str
    kind: str
    rows: Sequence[Bar] = field(default_factory=tuple)


def draw(chart: Chart) -> str:
    """Return a chart as markup."""
    paths = "".join(_path(chart, line) for line in chart.lines)
    marks = "".join(_mark(chart, mark) for mark in chart.marks)
    names = "".join(
        f'<span class="mark" style="left:{100 * _at(chart.x, mark.x):.2f}%">'
        f"{html.escape(mark.name)}</span>"
        for mark in chart.marks
    )
    label = html.escape(f"{chart.title}: {chart.x.title} and {chart.y.title}", quote=True)
    ends = " ".join(_end(name, axis) for name, axis in (("x", chart.x), ("y", chart.y)))
    return (
        f'<figure class="chart">{_head(chart.title, chart.says)}{_legend(chart)}'
        f'<div class="frame" role="img" aria-label="{label}" {ends} '
        f'data-by="{"y" if chart.by_height else "x"}">'
        f'<div class="ys">{_tick_labels(chart.y, "bottom")}</div>'
        '<div class="canvas"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none">'
        f"{_grid(chart)}{marks}{paths}</svg>{names}</div>"
        f'<div class="xs">{_tick_labels(chart.x, "left")}</div></div>'
        f'<p class="axes">{html.escape(chart.x.title)} → · {html.escape(chart.y.title)} ↑</p>'
        "</figure>"
    )


def _head(title: str, says: str) -> str:
    return f"<h3>{html.escape(title)}</h3><p>{html.escape(says)}</p>"


def _end(name: str, axis: Axis) -> str:
    log = " log" if axis.log else ""
    return f'data-{name}="{axis.low!r} {axis.high!r} {axis.kind}{log}"'


def _at(axis: Axis, value: float) -> float:
    return float(axis.place(np.array([value]))[0])


def _path(chart: Chart, line: Line) -> str:
    known = ~(np.isnan(line.x) | np.isnan(line.y))
    x, y = 1000 * chart.x.place(line.x[known]), 1000 - 1000 * chart.y.place(line.y[known])
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)]
    if not points:
        return ""
    if line.stairs:
        path = f"M{points[0]}" + "".join(
            f"H{a:.1f}V{b:.1f}" for a, b in zip(x[1:], y[1:], strict=True)
        )
    else:
        path = "M" + "L".join(points)
    name = html.escape(line.name, quote=True)
    return f'<path class="line {colour(line.number)}" data-name="{name}" d="{path}"/>'


def colour(number: int) -> str:
    """Return the classes of a colour; beyond `SERIES` it is dashed, then dotted."""
    return f"s{number % SERIES} d{min(number // SERIES, 2)}"


def _mark(chart: Chart, mark: Mark) -> str:
    x = 1000 * _at(chart.x, mark.x)
    return f'<path class="bound" d="M{x:.1f} 0V1000"/>'


def _grid(chart: Chart) -> str:
    across = "".join(f"M0 {1000 - 1000 * _at(chart.y, t):.1f}H1000" for t in chart.y.ticks())
    down = "".join(f"M{1000 * _at(chart.x, t):.1f} 0V1000" for t in chart.x.ticks())
    return f'<path class="rule" d="{across}{down}"/>'


def _tick_labels(axis: Axis, side: str) -> str:
    """Return the labels; one at the end of an axis lies before its tick, inside the page."""
    return "".join(
        f'<span{" class=end" if _at(axis, t) > _END else ""} style="{side}:'
        f'{100 * _at(axis, t):.2f}%">{html.escape(shown(t, axis.kind))}</span>'
        for t in axis.ticks()
    )


def _legend(chart: Chart) -> str:
    return "" if chart.alone else key([(line.number, line.name) for line in chart.lines], "line")


def key(entries: Sequence[tuple[int, str]], shape: str = "box") -> str:
    """Return a legend: (number of the colour, name) of each entry, once."""
    spans = "".join(
        f'<span><i class="{shape} {colour(number)}"></i>{html.escape(name)}</span>'
        for number, name in dict.fromkeys(entries)
    )
    return f'<div class="key">{spans}</div>'


def draw_bars(bars: Bars) -> str:
    """Return stacked bars as markup; a part says its share when it is pointed at."""
    longest = max((sum(size for *_, size in bar.parts) for bar in bars.rows), default=0.0)
    entries = sorted({(n, name) for bar in bars.rows for n, name, size in bar.parts if size > 0})
    rows = "".join(_bar(bar, longest, bars.kind) for bar in bars.rows)
    return (
        f'<figure class="bars">{_head(bars.title, bars.says)}{key(entries)}'
        f'<div class="rows">{rows}</div></figure>'
    )


def _bar(bar: Bar, longest: float, kind: str) -> str:
    total = sum(size for *_, size in bar.parts)
    parts = "".join(
        _part(bar.name, part, total, longest, kind) for part in bar.parts if part[2] > 0
    )
    note = bar.note or shown(total, kind) if parts else "–"
    return (
        f'<div class="name">{html.escape(bar.name)}</div><div class="bar">{parts}</div>'
        f'<div class="total">{html.escape(note)}</div>'
    )


def _part(of: str, part: tuple[int, str, float], total: float, longest: float, kind: str) -> str:
    number, name, size = part
    share, width = size / total, 100 * size / longest
    told = html.escape(f"{of}: {name} {shown(size, kind)}, {share:.1%}", quote=True)
    text = f"{share:.0%}" if width > 7 else ""
    return (
        f'<span class="part {colour(number)}" style="width:{width:.3f}%" data-tip="{told}" '
        f'tabindex="0" role="img" aria-label="{told}">{text}</span>'
    )
