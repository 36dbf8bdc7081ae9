"""``tierlab plan --crossover``: printed as a person reads it, and plotted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.units import duration, si
from tierlab.kernels.base.whole import write_whole
from tierlab.simulator.cli.tables import table

if TYPE_CHECKING:
    from tierlab.simulator.scenario.schema import Scenario

SHOWN = 5
LARGEST_BLOCK = 8192


def ask(
    scenario: Scenario,
    tiers: tuple[str, ...],
    longest: int | None,
    blocks: str | None,
    new_tokens: int | None,
) -> dict[str, Any]:
    """Return what `crossover` finds for these options; absent ones have their defaults.

    Raises
    ------
    BadInput
        An option is not as it should be, or the model takes no such context.
    """
    from tierlab.simulator.sizing import crossover as law
    from tierlab.simulator.sizing.setting import Setting
    from tierlab.simulator.sizing.study import chosen_tiers

    sizes = law.BLOCKS if blocks is None else [_block(text) for text in blocks.split(",")]
    setting = Setting.of(scenario)
    new = law.NEW_TOKENS if new_tokens is None else new_tokens
    most = setting.parts.max_model_len - new
    if most < max(sizes):
        what = f"{new} leave {most} of the model's {setting.parts.max_model_len} tokens"
        raise BadInput("--new-tokens", what, f"new tokens that leave {max(sizes)} for a block")
    if longest is not None and not max(sizes) <= longest <= most:
        accepted = f"{max(sizes)} to {most}, beside {new} new ones"
        raise BadInput("--context", f"{longest} stored tokens", accepted)
    names, contexts = chosen_tiers(setting, tiers), law.contexts_up_to(longest or most)
    return law.crossover(setting, names, contexts, sizes, new)


def _block(text: str) -> int:
    digits = text.strip()
    size = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0
    if not 1 <= size <= LARGEST_BLOCK:
        accepted = f"integers from 1 to {LARGEST_BLOCK}, e.g. 16,64,256"
        raise BadInput("--blocks", f"{text!r} is no block size", accepted)
    return size


def print_crossover(found: dict[str, Any]) -> None:
    """Print the times at a few contexts, and from where on loading wins."""
    again = found["recompute"]
    at = _some(len(again))
    columns = [f"{again[k]['context']:,}" for k in at]
    rows = [["recompute", "", *(duration(again[k]["seconds"]) for k in at)]]
    rows.append(["bound by", "", *(again[k]["bound"] for k in at)])
    for way in found["ways"]:
        times = [f"{duration(way['load'][k]['seconds'])} {_mark(way, again, k)}" for k in at]
        rows.append([f"{way['tier']} {way['mechanism']}", str(way["block_tokens"]), *times])
    title = (
        f"{found['model']} on {found['hardware']}: load (< where it wins) or recompute by stored"
        f" tokens, beside {found['new_tokens']:,} new ones"
    )
    table(title, ("", "block", *columns), rows)
    table(
        "the smallest context where loading beats recomputing",
        ("", "block", "piece", "reaches", "first", "always", "load bound by", "compute by"),
        [_crossing(way) for way in found["ways"]],
    )
    for tier, way in {way["tier"]: way for way in found["ways"]}.items():
        more = len(way["nodes"]) - 1
        click.echo(f"{tier}: {way['link']}" + (f", and {more} more like it" if more else ""))


def _mark(way: dict[str, Any], again: list[dict[str, Any]], k: int) -> str:
    return "<" if way["load"][k]["seconds"] < again[k]["seconds"] else " "


def _some(n: int) -> list[int]:
    """Return a few of n positions, the first and the last among them."""
    step = max(1, -(-(n - 1) // (SHOWN - 1)))
    return sorted({*range(n - 1, -1, -step), 0}) if n > SHOWN else list(range(n))


def _crossing(way: dict[str, Any]) -> list[str]:
    first, always = way["first_tokens"], way["always_from_tokens"]
    return [
        f"{way['tier']} {way['mechanism']}",
        str(way["block_tokens"]),
        f"{way['piece_bytes'] / 1024:,.4g} KiB",
        si(way["bytes_per_s"], "B/s"),
        "never" if first is None else f"{first:,}",
        "never" if always is None else f"{always:,}",
        f"{way['load_bound']}",
        f"{way['recompute_bound']}",
    ]


def write_plot(target: Path, page: str) -> None:
    """Write a page; it appears whole or not at all.

    Raises
    ------
    BadInput
        The place cannot be written.
    """

    def write(file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8")

    write_whole(target, write, "--plot")
    click.echo(f"wrote {target}", err=True)
