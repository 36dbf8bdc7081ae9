"""A trace's statistics as one page with plots that needs nothing but a browser."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.units import gib
from tierlab.simulator.pages import document
from tierlab.simulator.pages.plots import plot_page
from tierlab.simulator.trace_plots import plots
from tierlab.simulator.trace_tables import Table, percent, tables

if TYPE_CHECKING:
    from tierlab.traces.statistics.summary import Measured


def write_page(measured: Measured, told: dict[str, Any], target: Path) -> None:
    """Write the page; it appears whole or not at all.

    Raises
    ------
    BadInput
        The place cannot be written.
    """
    document.write_page(page(measured, told), target, "-o")


def page(measured: Measured, told: dict[str, Any]) -> str:
    """Return the page; equal traces give equal bytes."""
    texts = "".join(_table(one) for one in tables(told))
    before = (
        f'<h1>{html.escape(told["trace"])}</h1><p class="from">{_origin(measured)}</p>'
        f'<div class="tiles">{_tiles(told)}</div>'
    )
    return plot_page(told["trace"], before, list(plots(measured, told)), texts)


def _origin(measured: Measured) -> str:
    sha = measured.trace.source_sha256
    read = f"read from a log with SHA-256 {sha}" if sha else "generated"
    return f"tierlab trace stats: {len(measured.trace):,} requests, {read}"


def _tiles(told: dict[str, Any]) -> str:
    rate, blocks, model = told["arrivals"]["requests_per_s"], told["blocks"], told["model"]
    shown = [(f"{told['requests']:,}", "requests")]
    if told["sessions"]["alone_share"] < 1:
        shown.append((f"{told['sessions']['number']:,}", "sessions"))
    if rate is not None:
        shown.append((f"{rate:.3g}/s", "rate"))
    shown.append((f"{told['input_tokens']['p50']:,.0f}", "input tokens, median"))
    shown.append((f"{told['output_tokens']['p50']:,.0f}", "output tokens, median"))
    if blocks:
        shown.append((percent(blocks["prefix_reuse"]), "of blocks reused, no limit"))
    if model and model["working_set_bytes"] is not None:
        shown.append((gib(model["working_set_bytes"]), f"working set, {model['name']}"))
    return "".join(
        f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>'
        for value, label in shown
    )


def _table(one: Table) -> str:
    head = document.row("th", one.header)
    body = "".join(document.row("td", row) for row in one.rows)
    title = html.escape(one.title)
    return f'<section><h2>{title}</h2><div class="wide"><table>{head}{body}</table></div></section>'
