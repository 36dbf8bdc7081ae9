"""A comparison as one page of plots that needs nothing but a browser."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tierlab.simulator.comparison.overtime import AGAIN
from tierlab.simulator.comparison.served import METRICS, Floats, Served
from tierlab.simulator.comparison.timeline import SERIES, Timeline
from tierlab.simulator.pages.document import write_page as write_document
from tierlab.simulator.pages.plots import plot_page
from tierlab.simulator.trace_plots import COLOURS, Plot, cumulative

Named = tuple[str, str]
_AXIS = {"gridcolor": "#e8eaf0", "zeroline": False, "automargin": True, "linecolor": "#c9cdd8"}


def write_page(
    target: Path, title: str, names: Named, runs: tuple[Served, Served], lines: Any
) -> None:
    """Write the page; it appears whole or not at all.

    Parameters
    ----------
    names
        What the two are called, the second drawn first.
    lines
        Two `Timeline` with samples at the same times, or None.

    Raises
    ------
    BadInput
        The place cannot be written.
    """
    compared = f"tierlab compare: {names[0]} and {names[1]}"
    before = f'<h1>{html.escape(title)}</h1><p class="from">{compared}</p>'
    text = plot_page(title, before, [*_over_time(names, lines), *_shares(names, runs)])
    write_document(text, target, "--plot")


def _over_time(names: Named, lines: tuple[Timeline, Timeline] | None) -> Iterator[Plot]:
    if lines is None:
        return
    ours, theirs = lines
    for key, title in (SERIES | AGAIN).items():
        if key in ours.series:
            figure = _figure("seconds", title)
            if key in theirs.series:
                _line(figure, theirs.times_s, theirs.series[key], names[1], 1)
            _line(figure, ours.times_s, ours.series[key], names[0], 0)
            says = "Both at the same times." if key in theirs.series else f"Not {names[1]}."
            yield Plot(title[0].upper() + title[1:], says, figure)


def _shares(names: Named, runs: tuple[Served, Served]) -> Iterator[Plot]:
    ours, theirs = runs
    for key, title in METRICS.items():
        if key in ours.latencies and key in theirs.latencies:
            figure = _figure("seconds", "share of requests")
            for number, run in ((1, theirs), (0, ours)):
                values = run.latencies[key]
                _line(figure, *cumulative(values[~np.isnan(values)]), names[number], number)
            figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
            yield Plot(
                title[0].upper() + title[1:],
                "Share of requests with at most so many seconds.",
                figure,
            )


def _figure(x_title: str, y_title: str) -> Any:
    import plotly.graph_objects as go

    return go.Figure(
        layout={
            "template": "none",
            "margin": {"l": 10, "r": 12, "t": 34, "b": 10},
            "showlegend": True,
            "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#1f2430"},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "xaxis": {"title": {"text": x_title}, **_AXIS},
            "yaxis": {"title": {"text": y_title}, "rangemode": "tozero", **_AXIS},
            "hovermode": "x unified",
        }
    )


def _line(figure: Any, x: Floats, y: Floats, name: str, number: int) -> None:
    import plotly.graph_objects as go

    points = ([float(f"{value:.6g}") for value in values] for values in (x, y))
    line = {"color": COLOURS[number], "width": 2}
    figure.add_trace(go.Scatter(**dict(zip("xy", points, strict=True)), name=name, line=line))
