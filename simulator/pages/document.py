"""One self-contained HTML document, and how it is written."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.whole import write_whole

STYLE = """
:root { color-scheme: light; --ink: #1f2430; --soft: #5c6475; --line: #e2e5ec; --paper: #fff; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.2rem; color: var(--ink);
       background: var(--paper);
       font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; margin: .2rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.02rem; margin: 0 0 .4rem; }
p.from { color: var(--soft); margin: 0 0 1.1rem; overflow-wrap: anywhere; }
.tiles { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fit, minmax(9.2rem, 1fr)); }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.3rem; font-weight: 600; white-space: nowrap; }
.tile span { color: var(--soft); font-size: .85rem; }
.grid { display: grid; gap: 1.1rem; margin: 1.3rem 0; align-items: start;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
section { min-width: 0; border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; }
section p { color: var(--soft); font-size: .85rem; margin: 0 0 .3rem; }
.plot { height: 19rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid var(--line); }
td:not(:first-child), th { white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
td:first-child, th:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
"""


def document(title: str, body: str, *, style: str = "", head: str = "", foot: str = "") -> str:
    """Return a whole document.

    Parameters
    ----------
    title
        Plain text.
    body
        Markup.
    style
        Rules that come after `STYLE`.
    head, foot
        Scripts that run before and after the body is laid out.
    """
    first = f"<script>{head}</script>" if head else ""
    last = f"<script>{foot}</script>" if foot else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style>{first}</head>"
        f"<body>{body}{last}</body></html>\n"
    )


def row(tag: str, cells: Sequence[str]) -> str:
    """Return one row of a table, its cells plain text."""
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def check_page(target: Path, where: str) -> None:
    """Refuse a target that is no page.

    Raises
    ------
    BadInput
        Another ending than .html, or a folder.
    """
    accepted = "a path that ends in .html"
    if target.suffix.lower() not in (".html", ".htm"):
        raise BadInput(where, f"{target} is no page", accepted)
    if target.is_dir():
        raise BadInput(where, f"{target} is a folder", accepted)


def write_page(text: str, target: Path, where: str) -> None:
    """Write a page; it appears whole or not at all.

    Raises
    ------
    BadInput
        The place cannot be written.
    """
    write_whole(target, lambda file: file.write_text(text, encoding="utf-8"), where)
