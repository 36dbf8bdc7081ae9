"""Lines over time as a small SVG, for the pages under docs/results."""

from math import floor, log10
from pathlib import Path

import numpy as np

COLOURS = ("#2563a8", "#d9682b", "#2f8f6b")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 230, 52, 708, 34, 196
Line = tuple[np.ndarray, np.ndarray]


def ticks(most: float, about: int) -> list[float]:
    """Return round numbers from 0 up to the first one that is at least `most`."""
    rough = max(most, 1e-9) / about
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
    return [step * i for i in range(int(np.ceil(most / step - 1e-9)) + 1)]


def draw(path: Path, title: str, lines: dict[str, Line]) -> None:
    """Write lines over seconds; the first named is drawn last, on top."""
    across = max(float(x.max()) for x, _ in lines.values())
    up = ticks(max(float(y.max()) for _, y in lines.values()), 4)
    parts = [_head(title, list(lines)), *_grid(across, up)]
    for number, (x, y) in reversed(list(enumerate(lines.values()))):
        points = " ".join(
            f"{LEFT + (RIGHT - LEFT) * a / across:.1f},{BOTTOM - (BOTTOM - TOP) * b / up[-1]:.1f}"
            for a, b in zip(x, y, strict=True)
        )
        colour = COLOURS[number]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _head(title: str, names: list[str]) -> str:
    space = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    key = "".join(
        f'&#160;&#160;<tspan fill="{COLOURS[i]}" font-weight="bold">{name}</tspan>'
        for i, name in enumerate(names)
    )
    return (
        f'<svg {space} font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{LEFT}" y="18" font-weight="bold">{title}</text>\n'
        f'<text x="{RIGHT}" y="18" text-anchor="end">{key}</text>'
    )


def _grid(across: float, up: list[float]) -> list[str]:
    parts = []
    for value in up:
        y = BOTTOM - (BOTTOM - TOP) * value / up[-1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="#e2e5ec"/>')
        label = f"{value:,.6g}"
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for seconds in (s for s in ticks(across, 6) if s <= across):
        x = LEFT + (RIGHT - LEFT) * seconds / across
        parts.append(f'<path d="M{x:.1f} {BOTTOM}v4" stroke="#8a91a0"/>')
        label = f"{seconds:g} s"
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{label}</text>')
    return parts
