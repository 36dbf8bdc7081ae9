"""Load and recompute times over context, as a page that opens offline."""

from __future__ import annotations

from typing import Any


def page(found: dict[str, Any]) -> str:
    """Return the page of what `crossover` found: a line a way, and recomputing in black."""
    import plotly.graph_objects as go

    figure = go.Figure()
    again = found["recompute"]
    figure.add_scatter(
        x=[row["context"] for row in again],
        y=[row["seconds"] for row in again],
        name="recompute",
        mode="lines+markers",
        line={"color": "black", "width": 4},
        text=[f"{row['bound']} bound" for row in again],
        hovertemplate="%{x} tokens: %{y:.4g} s, %{text}",
    )
    for way in found["ways"]:
        figure.add_scatter(
            x=[row["context"] for row in way["load"]],
            y=[row["seconds"] for row in way["load"]],
            name=f"{way['tier']}, {way['mechanism']}, {way['block_tokens']}-token blocks",
            mode="lines+markers",
            text=[f"{row['bound']} bound" for row in way["load"]],
            hovertemplate="%{x} tokens: %{y:.4g} s, %{text}",
        )
    figure.update_layout(
        title=f"{found['model']} on {found['hardware']}: load or recompute, "
        f"{found['new_tokens']} new tokens",
        xaxis={"type": "log", "title": "stored context, tokens"},
        yaxis={"type": "log", "title": "seconds"},
        template="plotly_white",
    )
    text: str = figure.to_html(include_plotlyjs=True, full_html=True, div_id="crossover")
    return text
