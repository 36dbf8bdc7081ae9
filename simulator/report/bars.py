"""What designs are made of, as stacked bars: tokens, bytes on links, dollars, joules, time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierlab.simulator.report.charts import Bar, Bars

TIERS = {"hbm": 0, "dram": 1, "cxl": 3, "ssd": 2, "remote": 4}
"""Tier -> its colour, the same in every chart."""
_COMPUTED, _AGAIN = 5, 6
_CAUSES = ("hit", "write_through", "write_back", "promotion", "prefetch", "selection", "swap")
_COST = {"gpu": 0, **{k: v for k, v in TIERS.items() if k != "hbm"}, "nvme": 2, "power": 6}
_SOURCES = {"executed": 2, "calibrated": 0, "datasheet": 1, "idle": 6}


@dataclass(frozen=True)
class Design:
    """A run or a point: its name, and its figures under flat names."""

    name: str
    figures: Mapping[str, Any]

    def number(self, column: str) -> float:
        """Return a figure, 0 where it is not there."""
        value = self.figures.get(column)
        return float(value) if isinstance(value, int | float) else 0.0

    def table(self, prefix: str) -> dict[str, float]:
        """Return the figures whose names begin so, by the rest of their names."""
        found = [name for name in self.figures if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.number(name) for name in found}


def tokens(designs: Sequence[Design]) -> Bars:
    """Say where the prompt tokens' KV came from."""

    def parts(design: Design) -> Iterator[tuple[int, str, float]]:
        reused = design.table("tokens.reused.")
        for tier, number in TIERS.items():
            yield number, f"reused from {tier.upper()}", reused.get(tier, 0.0)
        yield _COMPUTED, "computed", design.number("tokens.computed")
        yield _AGAIN, "computed again after preemption", design.number("tokens.recomputed")

    says = "Prompt tokens by where their KV came from. What is not reused is computed."
    return _bars("Hits per tier", says, "count", designs, parts)


def links(designs: Sequence[Design]) -> list[Bars]:
    """Say what each link carried, by cause and direction; links that carried nothing are left out.

    Directions of one cause have one colour.
    """
    names = dict.fromkeys(
        name.removeprefix("links.").partition(".by_cause.")[0]
        for design in designs
        for name in design.figures
        if name.startswith("links.") and ".by_cause." in name and design.number(name)
    )
    return [_link(name, designs) for name in names]


def _link(link: str, designs: Sequence[Design]) -> Bars:
    def parts(design: Design) -> Iterator[tuple[int, str, float]]:
        for cause, size in sorted(design.table(f"links.{link}.by_cause.").items()):
            name, _, way = cause.rpartition(".")
            number = _CAUSES.index(name) if name in _CAUSES else len(_CAUSES) - 1
            yield number, f"{name.replace('_', ' ')}, {_WAYS.get(way, way)}", size

    def note(design: Design) -> str:
        busy = design.number(f"links.{link}.busy_fraction")
        return f"busy {busy:.2%} of the time"

    says = "Bytes by cause, all instances of the link together."
    return _bars(f"Link {link}", says, "bytes", designs, parts, note)


_WAYS = {"down": "away from the host", "up": "towards the host"}


def cost(designs: Sequence[Design]) -> Bars | None:
    """Split the cost of a million output tokens; None where no design says its parts."""

    def parts(design: Design) -> Iterator[tuple[int, str, float]]:
        output = design.number("tokens.output")
        hours = design.number("simulated_s") / 3600
        for name, usd_per_h in design.table("usd_per_h.sized.").items():
            usd = usd_per_h * hours / output * 1e6 if output else 0.0
            yield _COST.get(name, 6), _part_name(name), usd

    says = "USD per million output tokens: the GPUs, and each tier's own bytes."
    found = _bars("Cost", says, "usd", designs, parts)
    return found if any(bar.parts for bar in found.rows) else None


def _part_name(name: str) -> str:
    return name.upper() if name in ("gpu", "dram", "cxl", "ssd", "nvme") else name


def energy(designs: Sequence[Design]) -> Bars | None:
    """Split the energy of an output token; None where no design says its parts."""

    def parts(design: Design) -> Iterator[tuple[int, str, float]]:
        output = max(design.number("tokens.output"), 1.0)
        joules = {k: v / output for k, v in design.table("joules.").items()}
        yield 0, "GPU, while steps run", joules.get("gpu.busy", 0.0)
        yield 5, "GPU, idle power", joules.get("gpu.idle", 0.0)
        for kind, number in (("host", 1), ("cxl", 3), ("ssd", 2), ("switch", 6)):
            both = joules.get(f"{kind}.idle", 0.0) + joules.get(f"{kind}.busy", 0.0)
            yield number, _part_name(kind), both

    says = "Joules per output token: the replicas' share of the machine as installed."
    found = _bars("Energy", says, "j", designs, parts)
    return found if any(size for bar in found.rows for *_, size in bar.parts) else None


def sources(designs: Sequence[Design]) -> Bars:
    """Say where the simulated time comes from."""

    def parts(design: Design) -> Iterator[tuple[int, str, float]]:
        for name, number in _SOURCES.items():
            yield number, _TIMES[name], design.number(f"sources.{name}")

    def note(design: Design) -> str:
        return f"{1 - design.number('sources.idle'):.1%} busy"

    says = "Shares of the replicas' simulated time by where it comes from."
    return _bars("Where times come from", says, "share", designs, parts, note)


_TIMES = {
    "executed": "measured by running it",
    "calibrated": "fitted to measurements",
    "datasheet": "from the datasheet",
    "idle": "idle",
}


def _bars(
    title: str,
    says: str,
    kind: str,
    designs: Sequence[Design],
    parts: Callable[[Design], Iterator[tuple[int, str, float]]],
    note: Callable[[Design], str] | None = None,
) -> Bars:
    from tierlab.simulator.report.figures import shown

    rows = []
    for design in designs:
        made = tuple(parts(design))
        text = ""
        if note is not None:
            total = sum(size for *_, size in made)
            text = note(design) if kind == "share" else f"{shown(total, kind)}, {note(design)}"
        rows.append(Bar(design.name, made, text))
    return Bars(title, says, kind, tuple(rows))
