"""The summary of a run as a person reads it."""

from __future__ import annotations

from typing import Any

from tierlab.kernels.base.units import duration, gib, si
from tierlab.simulator.cli.tables import pairs, table
from tierlab.simulator.cli.time_rows import shares, time_rows
from tierlab.simulator.serving.run import Run

LATENCIES = {
    "ttft_s": "TTFT",
    "tpot_s": "TPOT",
    "itl_s": "ITL",
    "e2e_s": "E2E latency",
    "queue_s": "queueing",
}
MARKS = ("mean", "p50", "p90", "p99")


def print_summary(run: Run, summary: dict[str, Any]) -> None:
    """Print counts, latencies, and rates with cost."""
    parts = run.parts
    title = f"{parts.model.name} on {parts.system.name}, design {parts.design.name}"
    pairs(title, _counts(summary))
    table("latency of completed requests", ("", *MARKS), _latency_rows(summary))
    pairs("throughput, memory, cost", _rates(summary))


def _counts(s: dict[str, Any]) -> list[tuple[str, str]]:
    reasons = ", ".join(f"{n} {name}" for name, n in s["rejected_by_reason"].items())
    rejected = f"{s['rejected']} rejected" + (f" ({reasons})" if reasons else "")
    ended = f"{s['completed']} completed, {rejected}, {s['in_flight']} in flight"
    return [
        ("requests", f"{s['requests']}: {ended}"),
        ("preemptions", str(s["preemptions"])),
        ("simulated", f"{duration(s['simulated_s'])} (in {duration(s['wall_s'])})"),
        ("time comes from", shares(s["sources"])),
        *time_rows(s["times"]),
        *_copied(s["copies"]),
    ]


def _copied(copies: dict[str, float | None]) -> list[tuple[str, str]]:
    """Say where copies have their times from, where any was measured."""
    known = {k: v or 0.0 for k, v in copies.items()}
    outside = known.pop("outside")
    if not known["measured"] + known["partly"]:
        return []
    told = f" ({outside:.1%} outside the measured sizes or depths)" if outside > 0 else ""
    return [("  of copied bytes", shares(known) + told)]


def _latency_rows(s: dict[str, Any]) -> list[list[str]]:
    rows = [[label, *(_time(s[key][m]) for m in MARKS)] for key, label in LATENCIES.items()]
    for end, figures in s.get("bands", {}).items():
        for key in ("ttft_s", "tpot_s"):
            cells = [_time(figures[key][m]) for m in MARKS]
            rows.append([f"{LATENCIES[key]}, all times at {end}", *cells])
    return rows


def _time(value: float | None) -> str:
    return "-" if value is None else duration(value)


def _rates(s: dict[str, Any]) -> list[tuple[str, str]]:
    tokens, hbm = s["tokens"], s["tiers"]["hbm"]
    goodput = s["goodput_requests_per_s"]
    rows = [
        ("output tokens", f"{tokens['output']:,}: {_rate(s['output_tokens_per_s'])}"),
        ("prompt tokens", f"{tokens['input']:,}: {_rate(s['input_tokens_per_s'])}"),
        ("  computed / recomputed", f"{tokens['computed']:,} / {tokens['recomputed']:,}"),
        ("  reused", _reused(tokens["reused"])),
        ("goodput", "no SLO set" if goodput is None else f"{goodput:.4g} requests/s"),
        ("KV in HBM, peak", f"{gib(hbm['peak_bytes'])} of {gib(hbm['capacity_bytes'])}"),
        ("KV read by attention", si(s["attention_bytes"], "B")),
    ]
    return rows + _cost(s)


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g} /s"


def _reused(reused: dict[str, int]) -> str:
    used = [f"{n:,} from {tier}" for tier, n in reused.items() if n]
    return ", ".join(used) or "none"


def _cost(s: dict[str, Any]) -> list[tuple[str, str]]:
    dollars, energy = s["usd_per_million_output_tokens"], s["joules_per_output_token"]
    total = s["usd_total"]
    return [
        ("cost", "no price of this GPU; see prices" if total is None else f"${total:,.2f}"),
        ("  per million output tokens", "-" if dollars is None else f"${dollars:,.2f}"),
        ("energy per output token", "-" if energy is None else si(energy, "J")),
    ]
