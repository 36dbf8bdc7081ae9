"""The tables of ``tierlab compare``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tierlab.simulator.cli.tables import pairs, table

Pair = dict[str, float | None]
Names = tuple[str, str]
ITL = {"itl_s": "ITL"}


def print_comparison(told: dict[str, Any], names: Names) -> None:
    """Print what a comparison found."""
    pairs(f"{told[names[0]]} against {told[names[1]]}", list(_matched(told, names)))
    if told.get("settings"):
        rows = [(key, *(str(v[name]) for name in names)) for key, v in told["settings"].items()]
        table("settings that differ", ("", *names), rows)
    table("latency", ("", "", *names, "difference"), list(_latencies(told, names)))
    table("rates and totals", ("", *names, "difference"), list(_totals(told, names)))
    if "over_time" in told:
        _print_over_time(told["over_time"], names)


def _matched(told: dict[str, Any], names: Names) -> Iterator[tuple[str, str]]:
    yield "requests", f"{told['requests']:,}, {told['lengths_differ']:,} of other lengths"
    for name in names:
        if told[f"only_{name}"]:
            yield f"only {name}", f"{told[f'only_{name}']:,}"
    yield "TTFT and E2E count from", told["counted_from"]


def _latencies(told: dict[str, Any], names: Names) -> Iterator[list[str]]:
    from tierlab.kernels.base.units import duration
    from tierlab.simulator.comparison.served import METRICS

    titles = METRICS | ITL
    for key, marks in told["latency"].items():
        for mark in ("mean", "p50", "p90", "p99"):
            found = marks[mark]
            values = ("-" if x is None else duration(x) for x in (found[n] for n in names))
            yield [titles[key] if mark == "mean" else "", mark, *values, _signed(found["error"])]
        if marks["median_request_error"] is not None:
            share = f"{marks['median_request_error']:.1%}"
            yield ["", "of a request, median", "", "", share]


def _totals(told: dict[str, Any], names: Names) -> Iterator[list[str]]:
    from tierlab.simulator.comparison.differences import FIGURES

    titles = {
        "seconds": "first arrival to last token, s",
        "requests_per_s": "requests per second",
        "output_tokens_per_s": "output tokens per second",
    }
    for key, title in titles.items():
        yield _row(title, told["rate"][key], names)
    for key, found in told.get("figures", {}).items():
        yield _row(FIGURES[key], found, names)


def _print_over_time(found: dict[str, Any], names: Names) -> None:
    from tierlab.simulator.comparison.overtime import AGAIN
    from tierlab.simulator.comparison.timeline import SERIES

    rows = [_row(SERIES[key], one, names) for key, one in found["series"].items()]
    count = found["preemptions"]
    if f"{names[0]}_by_counts" in count:
        for key, title in (
            ("by_counts", "preemptions that the counts show"),
            ("again", AGAIN["again"]),
        ):
            values = [f"{count[f'{who}_{key}']:,.4g}" for who in names]
            rows.append([title, *values, ""])
    rows.append(_row("preemptions", count, names))
    title = f"over time, mean of {found['samples']:,} samples"
    if found["clock_offset_s"]:
        title += f" on a clock {found['clock_offset_s']:+.2f} s off"
    table(title, ("", *names, "difference"), rows)
    if "gen_throughput" in found:
        errors = found["gen_throughput"]["median_error"]
        text = ", ".join(
            f"{e:.1%} over {n} samples" if n != "1" else f"{e:.1%} of one"
            for n, e in errors.items()
            if e is not None
        )
        pairs("output tokens per second, median difference", [("", text or "none")])


def _row(title: str, found: Pair, names: Names) -> list[str]:
    values = (found[name] for name in names)
    texts = ("-" if x is None else f"{x:,.0f}" if x >= 1e5 else f"{x:,.4g}" for x in values)
    return [title, *texts, _signed(found["error"])]


def _signed(error: float | None) -> str:
    return "-" if error is None else f"{error:+.1%}"
