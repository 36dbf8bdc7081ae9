"""Curves over powers of two as a small SVG, with marked heights, for docs/results."""

from math import log2
from pathlib import Path

from svg_lines import ticks

COLOURS = ("#2563a8", "#d9682b", "#2f8f6b", "#8a4fbf", "#b3342f", "#6b7280")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 300, 52, 600, 50, 262
KEY = 84
Curve = tuple[list[int], list[float]]


def draw(path: Path, title: str, curves: dict[str, Curve], marks: dict[str, float]) -> None:
    """Write curves over counts (on a scale of octaves) and marks at some heights."""
    counts = sorted({x for xs, _ in curves.values() for x in xs})
    most = max([*marks.values(), *(max(ys) for _, ys in curves.values())])
    up = ticks(most, 5)

    def across(count: int) -> float:
        return LEFT + (RIGHT - LEFT) * log2(count / counts[0]) / log2(counts[-1] / counts[0])

    def height(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * value / up[-1]

    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [
        f'<svg {box} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-weight="bold">{title}</text>',
    ]
    for value in up:
        y = height(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="#e2e5ec"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}x</text>')
    for count in counts[:: max(1, len(counts) // 8)]:
        label = f"{count // 1024}K" if count >= 1024 else str(count)
        x = across(count)
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{label}</text>')
    for name, value in marks.items():
        y = height(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="#111" stroke-dasharray="5 4"/>')
        parts.append(f'<text x="{RIGHT + 6}" y="{y + 4:.1f}">{name}</text>')
    for i, (name, (xs, ys)) in enumerate(curves.items()):
        points = " ".join(f"{across(x):.1f},{height(y):.1f}" for x, y in zip(xs, ys, strict=True))
        colour = COLOURS[i % len(COLOURS)]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{LEFT + KEY * i}" y="38" fill="{colour}">{name}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")
