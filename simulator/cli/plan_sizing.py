"""``tierlab plan --trace``: what its options ask, and the answer as a person reads it."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.units import duration
from tierlab.simulator.cli.tables import pairs, table

if TYPE_CHECKING:
    from tierlab.simulator.sizing.study import Question

GIB = 2.0**30


def question_of(asked: dict[str, Any]) -> Question:
    """Return what the options ask.

    Raises
    ------
    BadInput
        Two targets, or one that is none.
    """
    from tierlab.simulator.sizing.slo import TOLERANCE, parse_target
    from tierlab.simulator.sizing.study import Question

    ratio, slo = asked["hit_ratio"], asked["slo"]
    if ratio is not None and slo is not None:
        raise BadInput("--slo", "together with --hit-ratio", "one target at a time")
    if ratio is not None and not 0 < ratio <= 1:
        raise BadInput("--hit-ratio", f"{ratio:g} is no share", "above 0, at most 1")
    target = None if slo is None else parse_target(slo)
    tolerance = asked["tolerance"] or TOLERANCE
    return Question(asked["tiers"], ratio, target, tolerance, not asked["no_doubling"])


def print_study(found: dict[str, Any]) -> None:
    """Print what a study found."""
    title = f"{found['trace']}: prefix hits of LRU, without time"
    pairs(title, _reach(found))
    if found["sizes"]:
        _print_sizes(found)
    if found["next"]:
        _print_next(found["next"])


def both(row: dict[str, Any]) -> str:
    """Write a size in GiB and in GB."""
    return f"{plain(row['gib'])} GiB = {plain(row['gb'])} GB"


def plain(number: float) -> str:
    """Write a number with four digits or more, never with an exponent."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def _size(nbytes: float) -> str:
    return both({"gib": nbytes / GIB, "gb": nbytes / 1e9})


def _reach(found: dict[str, Any]) -> list[tuple[str, str]]:
    hbm, several = found["hbm"], found["replicas"] > 1
    each = " a replica" if several else ""
    asked = f"{found['blocks_asked']:,} blocks of {found['block_tokens']} tokens"
    rows = [
        ("requests", f"{found['requests']:,}, asking for {asked}"),
        ("HBM alone", f"{hbm['hit_ratio']:.4f} with {both(hbm)}{each}, {hbm['blocks']:,} blocks"),
        ("unlimited", _unlimited(found["unlimited"], each)),
    ]
    shared = _unlimited(found["unlimited_shared"], "")
    return [*rows, ("unlimited, shared", shared)] if several else rows


def _unlimited(row: dict[str, Any], each: str) -> str:
    return f"{row['hit_ratio']:.4f} from {both(row)}{each} on, {row['blocks']:,} blocks"


def _print_sizes(found: dict[str, Any]) -> None:
    target = found["target"]
    if "hit_ratio" in target:
        _print_for_ratio(found, target["hit_ratio"])
    else:
        _print_for_slo(found, target)


def _print_for_ratio(found: dict[str, Any], ratio: float) -> None:
    rows = [[*_sized(found["hbm"]), "", "", ""]]
    for row in found["sizes"]:
        fits = "yes" if row["fits"] else f"{plain(row['room_bytes'] / GIB)} GiB"
        only = plain(row["exclusive_bytes"] / GIB) if row["exclusive_bytes"] else ""
        rows.append([*_sized(row), only, fits, _dollars(row["tier_usd_per_h"])])
    title = f"the smallest tier below HBM that reaches a hit ratio of {ratio:g}, each alone"
    header = ("inclusive", "bytes", "GiB", "GB", "hits", "exclusive GiB", "room", "USD/h")
    table(title, header, rows)
    click.echo(_law(found))


def _sized(row: dict[str, Any]) -> list[str]:
    if not row.get("needed", True):
        return [row["tier"], "not needed", "0", "0", f"{row['hit_ratio']:.4f}"]
    sizes = (plain(row["gib"]), plain(row["gb"]))
    return [row["tier"], f"{row['bytes']:,.0f}", *sizes, f"{row['hit_ratio']:.4f}"]


def _law(found: dict[str, Any]) -> str:
    mirrors = max(row["mirrors_up_to_bytes"] for row in found["sizes"])
    if not mirrors:
        return "Of inclusive tiers the largest decides how much is hit."
    text = (
        f"Of inclusive tiers the largest decides how much is hit: one of up to {_size(mirrors)}"
        " mirrors HBM, which keeps somewhat less than that beside what runs."
    )
    return fill(text, 96, break_on_hyphens=False)


def _print_for_slo(found: dict[str, Any], target: dict[str, Any]) -> None:
    rows = []
    for row in found["sizes"]:
        sizes = (plain(row["gib"]), plain(row["gb"])) if row["needed"] else ("0", "0")
        nbytes = f"{row['bytes']:,.0f}" if row["needed"] else "not needed"
        seen = (_below(row), duration(row["value_s"]), str(len(row["tried"])))
        rows.append([row["tier"], nbytes, *sizes, *seen, _dollars(row["tier_usd_per_h"])])
    title = f"the smallest tier that meets {target['slo']}, to {target['tolerance']:.0%}, simulated"
    table(
        title, ("", "bytes", "GiB", "GB", "fails at GiB", "reaches", "sizes tried", "USD/h"), rows
    )
    for row in found["sizes"]:
        if row["monotone"] is False:
            click.echo(
                f"{row['tier']}: a larger size failed where a smaller one met the target; the size"
                " above is one where it turns, perhaps not the only one."
            )


def _below(row: dict[str, Any]) -> str:
    return plain(row["fails_at_bytes"] / GIB) if row["fails_at_bytes"] else ""


def _dollars(value: float | None) -> str:
    return "no price" if value is None else f"{value:,.4g}"


def _print_next(found: dict[str, Any]) -> None:
    rows = [_outcome("HBM alone", found["alone"]), _outcome(_named(found["now"]), found["now"])]
    for row in found["doubled"]:
        if row["fits"]:
            rows.append(_outcome(f"{row['tier']} x 2: {row['bytes'] / GIB:,.4g} GiB", row))
    header = ("simulated", "hits", "TTFT p50", "TTFT p99", "GPU busy", "USD/h", "USD/1M tokens")
    table("what the next doubling buys", header, rows)
    click.echo(f"these tiers over HBM alone: {found['now']['verdict']}")
    for row in found["doubled"]:
        room = f"no room, {row['room_bytes'] / GIB:,.4g} GiB at most"
        click.echo(f"{row['tier']} doubled: {row['verdict'] if row['fits'] else room}")


def _named(now: dict[str, Any]) -> str:
    return " + ".join(f"{k} {v / GIB:,.4g} GiB" for k, v in now["sizes_bytes"].items())


def _outcome(label: str, o: dict[str, Any]) -> list[str]:
    times = [duration(o[k]) if o[k] is not None else "" for k in ("ttft_p50_s", "ttft_p99_s")]
    busy = duration(o["gpu_s"])
    dollars = [_dollars(o["usd_per_h"]), _dollars(o["usd_per_million_tokens"])]
    return [label, f"{o['hit_ratio']:.4f}", *times, busy, *dollars]
