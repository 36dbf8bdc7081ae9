"""Pages of plots that Plotly draws; its script is in the page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tierlab.simulator.pages.document import document

if TYPE_CHECKING:
    from tierlab.simulator.trace_plots import Plot


def plot_page(title: str, before: str, plots: Sequence[Plot], after: str = "") -> str:
    """Return a page with plots side by side.

    Parameters
    ----------
    title
        Plain text.
    before, after
        Markup over the plots, and behind the last of them.
    """
    from plotly.offline import get_plotlyjs

    sections = "".join(
        f"<section><h2>{html.escape(one.title)}</h2><p>{html.escape(one.says)}</p>"
        f'<div class="plot" id="plot{i}"></div></section>'
        for i, one in enumerate(plots)
    )
    body = f'{before}<div class="grid">{sections}{after}</div>'
    return document(title, body, head=get_plotlyjs(), foot=_draw(plots))


def _draw(plots: Sequence[Plot]) -> str:
    """Return the script that draws every figure, once the whole page is laid out."""
    data = ",".join(one.figure.to_json() for one in plots).replace("</", "<\\/")
    return (
        f"[{data}].forEach((figure, i) => Plotly.newPlot(`plot${{i}}`, figure.data, "
        "figure.layout, {responsive: true, displayModeBar: false}));"
    )
