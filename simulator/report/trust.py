"""How far to trust a run: what its own figures say against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tierlab.hwmodels.time.times import ROOFLINE, SCHEDULE
from tierlab.kernels.ops.routing import named
from tierlab.simulator.report.figures import shown
from tierlab.simulator.report.read import RunData

FEW = 20
"""Requests beyond a p99 below which it is a matter of chance."""
MUCH = 0.2
"""Share of a step's time from which on a reader is told."""
_WORKLOAD = ("workload", "seed", "model")


def cautions(runs: Sequence[RunData]) -> list[str]:
    """Return what a reader must know before deciding, one sentence each."""
    said = [f"{run.name}: {text}" for run in runs for text in _of_one(run)]
    return [*_different_questions(runs), *_not_measured(runs), *said]


def _different_questions(runs: Sequence[RunData]) -> Iterator[str]:
    for key in _WORKLOAD:
        if len({repr(run.scenario.get(key)) for run in runs}) > 1:
            yield (
                f"The runs differ in {key}: their figures answer different questions as far as "
                "that goes."
            )
    hashes = {run.manifest["inputs"].get("trace") for run in runs}
    if len(hashes) > 1:
        yield "The runs did not read the same request log (SHA-256 differs)."


def _not_measured(runs: Sequence[RunData]) -> Iterator[str]:
    times = [{k: v for k, v in run.summary["sources"].items() if k != "idle"} for run in runs]
    if not any(t.get("executed", 0) or t.get("calibrated", 0) for t in times):
        yield (
            "No time in these runs was measured on its GPU: all come from datasheets, through "
            f"{_models(runs)}. They rank designs; they are no measurement."
        )
    if not any("bands" in run.summary for run in runs):
        yield (
            "The runs have no error bands: `tierlab run --bands` simulates both ends of the time "
            "model's p10 to p90 as well."
        )


def _models(runs: Sequence[RunData]) -> str:
    return "; ".join(dict.fromkeys(str(r.manifest["resolved"].get("time_model")) for r in runs))


def _of_one(run: RunData) -> Iterator[str]:
    summary, completed = run.summary, run.figures["completed"]
    if completed < 100 * FEW:
        beyond = completed // 100
        yield (
            f"its p99 rests on {beyond} of {completed:,} answered requests; "
            f"take {100 * FEW:,} or more for a steady one."
        )
    for key, word in (("rejected", "rejected"), ("in_flight", "not answered at the end")):
        if summary.get(key):
            share = shown(summary[key] / max(summary["requests"], 1), "share")
            yield f"{summary[key]:,} requests ({share}) were {word}; latencies leave them out."
    if (growth := _growth(run)) is not None:
        yield (
            f"the queue grows: requests of the last quarter waited {growth:.1f} times as long as "
            "those of the second. The latencies depend on how long the log is."
        )
    times = summary.get("times") or {}
    if (routing := times.get("expert_routing")) is not None:
        yield (
            f"which experts tokens choose is assumed (`model.expert_routing`: {named(routing)}); "
            "small batches of decodes read more or fewer experts by another."
        )
    yield from _extrapolated(times)
    if outside := run.summary.get("copies", {}).get("outside"):
        yield (
            f"{shown(outside, 'share')} of the copied bytes came in pieces of sizes or depths that "
            "were not measured; their times are extrapolated."
        )
    if run.figures.get("usd_total") is None:
        yield "the hardware has no price, so there is no cost."


def _extrapolated(times: Mapping[str, Any]) -> Iterator[str]:
    """Say where typical steps rest on shapes that were not measured, or on the roofline."""
    for name in ("prefill", "decode"):
        step = times.get(name) or {"outside": 0.0, "origins": {}}
        if step["outside"] > MUCH:
            yield (
                f"{shown(step['outside'], 'share')} of the time of a typical {name} step is of "
                "shapes that were not measured: it is extrapolated, with a wider band."
            )
        plain = step["origins"].get(ROOFLINE, 0.0)
        if MUCH < plain < 1.0:
            yield (
                f"{shown(plain, 'share')} of the time of a typical {name} step is the "
                "roofline's, for operations without a kernel model."
            )
        chosen = step["origins"].get(SCHEDULE, 0.0)
        if chosen > MUCH:
            yield (
                f"{shown(chosen, 'share')} of the time of a typical {name} step is attention's "
                "by a schedule, coarser than a fitted kernel: compare it with other schedules."
            )


def _growth(run: RunData) -> float | None:
    """Return how much longer the last quarter waits than the second; None if not twice so long."""
    known = run.requests.filter(run.requests["scheduled_s"].is_not_null()).sort("arrival_s")
    waits = (known["scheduled_s"] - known["arrival_s"]).to_numpy()
    quarter = len(waits) // 4
    if quarter < 25:
        return None
    second, last = np.mean(waits[quarter : 2 * quarter]), np.mean(waits[-quarter:])
    return float(last / second) if second > 0 and last > 2 * second and last > 1.0 else None


STANDING = (
    "Conservation laws are checked in every run: tokens, bytes on links and occupancy must add up.",
    "Prices are dated assumptions with sources, below; a scenario may override each.",
    "A busy GPU counts at its full power, though decode draws less; cooling is not in the energy.",
    "Loss of answer quality by a KV format or by eviction is not simulated.",
)
"""What holds for every run, whatever it says."""
