"""Small pieces of markup; every text that comes in is escaped here."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from tierlab.simulator.report.figures import Figure, change, shown


def text(value: object) -> str:
    """Return plain text as markup, quotes too."""
    return html.escape(str(value), quote=True)


def section(name: str, title: str, *parts: str) -> str:
    """Return a section with a heading; empty if nothing is in it."""
    body = "".join(parts)
    return f'<section id="{text(name)}"><h2>{text(title)}</h2>{body}</section>' if body else ""


def paragraph(words: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{text(words)}</p>"


def bullets(words: Iterable[str]) -> str:
    """Return a list of plain texts."""
    items = "".join(f"<li>{text(each)}</li>" for each in words)
    return f"<ul>{items}</ul>" if items else ""


def grid(*parts: str) -> str:
    """Return parts side by side where there is room."""
    body = "".join(parts)
    return f'<div class="charts">{body}</div>' if body else ""


def details(title: str, body: str) -> str:
    """Return what is shown when it is asked for, and in print."""
    return f"<details><summary>{text(title)}</summary>{body}</details>" if body else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table whose cells are markup, and whose first column stays in sight."""
    first = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{cells[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells[1:])
        + "</tr>"
        for cells in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table class="{kind}"><thead><tr>{first}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def delta(value: Any, base: Any, known: Figure) -> str:
    """Return the difference from the baseline: its sign, its size, and whether it is good."""
    part = change(value, base)
    if part is None:
        return ""
    if abs(part) < 5e-4:
        return '<small class="same">=</small>'
    better = None if known.high is None else (part > 0) == known.high
    word = {True: "good", False: "bad", None: "same"}[better]
    told = {True: "better", False: "worse", None: ""}[better]
    size = f"{abs(part):.0%}" if abs(part) >= 0.1 else f"{abs(part):.1%}"
    if known.kind == "share":
        size = f"{100 * abs(value - base):.3g} points"
    elif part > 9.995:
        size = f"{value / base:.0f}×"
    arrow = "▲" if part > 0 else "▼"
    return f'<small class="{word}" title="{told}">{arrow} {size}</small>'


def figure_cell(value: Any, base: Any, known: Figure, note: str = "") -> str:
    """Return a value with its difference from the baseline and a note under it."""
    under = delta(value, base, known) + (f"<small>{text(note)}</small>" if note else "")
    return f"<b>{text(shown(value, known.kind))}</b>{under}"


def data(name: str, value: Any) -> str:
    """Return data for the page's own script; no text in it can end the element."""
    packed = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for mark in "<>&\u2028\u2029":
        packed = packed.replace(mark, f"\\u{ord(mark):04x}")
    return f'<script type="application/json" id="{text(name)}">{packed}</script>'
