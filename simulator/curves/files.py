"""Curves as files: a plot that opens offline, and the numbers beside it."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tierlab.kernels.base.whole import write_whole
from tierlab.simulator.curves.count import Curve
from tierlab.simulator.results.folder import MARK, new_folder

GIB = 2.0**30


def write_curves(
    target: Path,
    curves: Sequence[Curve],
    content: dict[str, Any],
    inputs: dict[str, Any],
    block_bytes: float | None,
) -> None:
    """Write a plot (``*.html``), or a folder with plot, numbers and manifest.

    Parameters
    ----------
    target
        The file or folder.
    curves, content
        The curves, and what ``--json`` prints of them.
    inputs
        What went in, for the manifest.
    block_bytes
        KV bytes of a block, where a model is known.

    Raises
    ------
    BadInput
        The target cannot be written, or holds something else.
    """
    page = plot(curves, inputs, block_bytes)
    if target.suffix.lower() == ".html":
        _write_file(target, page)
        return
    with new_folder(target) as folder:
        (folder / "mrc.html").write_text(page, encoding="utf-8")
        (folder / "mrc.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        manifest = {"tierlab": importlib.metadata.version("tierlab")} | inputs
        (folder / MARK).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _write_file(target: Path, text: str) -> None:
    def write(file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    write_whole(target, write, "-o", "a writable place")


def plot(curves: Sequence[Curve], inputs: dict[str, Any], block_bytes: float | None) -> str:
    """Return a page with hit ratio over capacity; it needs no network."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for curve in curves:
        points = sorted(curve.points)
        text = [_size(capacity, block_bytes) for capacity, _ in points]
        figure.add_scatter(
            x=[capacity for capacity, _ in points],
            y=[ratio for _, ratio in points],
            text=text,
            name=curve.policy,
            mode="lines+markers",
            hovertemplate="%{text}: %{y:.4f}",
        )
    figure.update_layout(
        title=f"{inputs['trace']}: {inputs['hits']} hits",
        xaxis={"type": "log", "title": f"capacity in blocks of {curves[0].block_tokens} tokens"},
        yaxis={"rangemode": "tozero", "title": "hit ratio"},
        template="plotly_white",
    )
    page: str = figure.to_html(include_plotlyjs=True, full_html=True, div_id="mrc")
    return page


def _size(capacity_blocks: int, block_bytes: float | None) -> str:
    blocks = f"{capacity_blocks:,} blocks"
    return (
        blocks
        if block_bytes is None
        else f"{blocks}, {capacity_blocks * block_bytes / GIB:,.4g} GiB"
    )
