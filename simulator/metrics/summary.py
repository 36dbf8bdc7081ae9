"""The one object that ``run --json`` prints: every figure of a run, named and in SI."""

from __future__ import annotations

from typing import Any

import numpy as np

from tierlab.hwmodels.time.times import SOURCES
from tierlab.simulator.metrics.basis import basis
from tierlab.simulator.metrics.copied import copied_shares
from tierlab.simulator.metrics.cost import joules, joules_by_part, usd, usd_per_h_by_part
from tierlab.simulator.metrics.latency import Latencies
from tierlab.simulator.metrics.quantiles import spread
from tierlab.simulator.metrics.tiers import link_figures, tier_figures
from tierlab.simulator.serving.requests import REASONS
from tierlab.simulator.serving.run import Run, census


def summarise(run: Run) -> dict[str, Any]:
    """Return the figures of a run; keys are documented in ``docs/results-format.md``."""
    return {
        **_counts(run),
        **_latency(run),
        **_rates(run),
        "tokens": _tokens(run),
        "tiers": tier_figures(run),
        "attention_bytes": run.record.attention_bytes,
        "links": link_figures(run),
        **_cost(run),
        "sources": _sources(run),
        "times": basis(run),
        "copies": copied_shares(run),
    }


def _counts(run: Run) -> dict[str, Any]:
    count = census(run.requests)
    reasons = np.bincount(run.requests.reason, minlength=len(REASONS))
    return {
        "requests": run.requests.n,
        "completed": count.finished,
        "rejected": count.rejected,
        "rejected_by_reason": {
            name: int(n) for name, n in zip(REASONS, reasons, strict=True) if name and n
        },
        "in_flight": count.in_flight,
        "preemptions": int(run.requests.preemptions.sum()),
        "simulated_s": run.simulated_s,
        "wall_s": run.wall_s,
    }


def _latency(run: Run) -> dict[str, Any]:
    latencies = Latencies.of(run.requests)
    good = latencies.good(run.scenario.slo)
    tpot = latencies.tpot_s[~np.isnan(latencies.tpot_s)]
    return {
        "ttft_s": spread(latencies.ttft_s),
        "tpot_s": spread(tpot),
        "itl_s": spread(*run.record.token_gaps()),
        "e2e_s": spread(latencies.e2e_s),
        "queue_s": spread(latencies.queue_s),
        "goodput_requests_per_s": None if good is None else _per(int(good.sum()), run.simulated_s),
    }


def _rates(run: Run) -> dict[str, Any]:
    prompt = run.ledger.computed + sum(run.ledger.reused.values())
    return {
        "output_tokens_per_s": _per(run.ledger.output, run.simulated_s),
        "input_tokens_per_s": _per(prompt, run.simulated_s),
    }


def _per(amount: float, whole: float) -> float | None:
    return amount / whole if whole > 0 else None


def _tokens(run: Run) -> dict[str, Any]:
    ledger = run.ledger
    return {
        "input": census(run.requests).input_tokens,
        "computed": ledger.computed,
        "recomputed": ledger.recomputed,
        "reused": dict(ledger.reused),
        "output": ledger.output,
    }


def _cost(run: Run) -> dict[str, Any]:
    output = run.ledger.output
    dollars = usd(run)
    return {
        "usd_per_million_output_tokens": (
            dollars / output * 1e6 if output and dollars is not None else None
        ),
        "joules_per_output_token": joules(run) / output if output else None,
        "usd_total": dollars,
        "usd_per_h": usd_per_h_by_part(run),
        "joules": joules_by_part(run),
    }


def _sources(run: Run) -> dict[str, float]:
    """Return shares of the replicas' simulated time; what no step filled is idle."""
    if run.simulated_s <= 0:
        return {**dict.fromkeys(SOURCES, 0.0), "idle": 0.0}
    shares = run.record.busy_s / (run.simulated_s * len(run.caches))
    named = {name: float(share) for name, share in zip(SOURCES, shares, strict=True)}
    return {**named, "idle": max(0.0, 1.0 - float(shares.sum()))}
