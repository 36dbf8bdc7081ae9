"""From the tables of a run to the lines of its charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.report.read import RunData
from tierlab.simulator.trace_plots import cumulative

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Points = tuple[Floats, Floats]
WINDOWS = 96
LATENCIES = {
    "ttft": "Time to first token (TTFT)",
    "tpot": "Time per output token (TPOT)",
    "e2e": "End to end (E2E)",
}


def latencies(run: RunData) -> dict[str, Floats]:
    """Return the latencies of answered requests, s, by key of `LATENCIES`."""
    done = run.requests.filter(run.requests["status"] == "completed")
    arrival, first, last = (
        done[name].to_numpy() for name in ("arrival_s", "first_token_s", "last_token_s")
    )
    gaps = done["generated_tokens"].to_numpy() - 1
    return {
        "ttft": first - arrival,
        "tpot": (last - first)[gaps > 0] / gaps[gaps > 0],
        "e2e": last - arrival,
    }


def shares(values: Floats) -> Points:
    """Return a distribution: seconds, and the share of requests within them."""
    return cumulative(values) if len(values) else (np.empty(0), np.empty(0))


def hbm_held(run: RunData) -> Points:
    """Return the KV that requests hold in one GPU's HBM: the most in each window and replica."""
    return _most(run, "kv_bytes", np.max)


def waiting(run: RunData) -> Points:
    """Return the requests that wait: the most in each window, summed over replicas."""
    return _most(run, "waiting", np.sum)


def _most(run: RunData, column: str, together: Callable[..., Floats]) -> Points:
    """Return the largest value of the steps that run in each window; 0 where none runs."""
    edges = np.linspace(0.0, max(run.summary["simulated_s"], 1e-9), WINDOWS + 1)
    tables = [np.zeros(WINDOWS)]
    for steps in run.steps.partition_by("replica", maintain_order=True):
        first = _window(np.searchsorted(edges, steps["start_s"].to_numpy(), "right"))
        last = _window(np.searchsorted(edges, steps["end_s"].to_numpy(), "left"))
        most, values = np.zeros(WINDOWS), steps[column].to_numpy().astype(np.float64)
        np.maximum.at(most, first, values)
        for row in np.flatnonzero(last > first):
            window = slice(first[row] + 1, last[row] + 1)
            most[window] = np.maximum(most[window], values[row])
        tables.append(most)
    return edges[:-1], together(tables, axis=0)


def _window(edge: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.clip(edge - 1, 0, WINDOWS - 1)


def _sampled(times: Floats, values: Floats, at: Floats) -> Floats:
    """Return what each moment of `at` sees: the last value before it, 0 before the first."""
    if not len(times):
        return np.zeros(len(at))
    index = np.searchsorted(times, at, "right") - 1
    return np.where(index >= 0, values[np.maximum(index, 0)], 0.0)


def held(run: RunData, tier: str) -> Points | None:
    """Return the bytes that a tier below HBM held over time, all replicas; None without it."""
    rows = _rows(run, tier)
    if rows is None:
        return None
    at = np.unique(rows["at_s"].to_numpy())
    together: Floats = np.sum([_column(one, "held_bytes", at) for one in _owners(rows)], axis=0)
    return at, together


def served(run: RunData, tier: str) -> Points | None:
    """Return the share of prompt tokens that came from a tier, window by window.

    Prompt tokens count when their request is first scheduled. Without tiers below HBM, all that
    was reused came from HBM.
    """
    done = run.requests.filter(run.requests["scheduled_s"].is_not_null())
    edges = np.linspace(0.0, max(run.summary["simulated_s"], 1e-9), WINDOWS // 2 + 1)
    when, prompt = done["scheduled_s"].to_numpy(), done["input_tokens"].to_numpy()
    asked, _ = np.histogram(when, edges, weights=prompt)
    rows = _rows(run, tier)
    if rows is not None:
        tables = [_column(one, "hit_tokens", edges) for one in _owners(rows)]
        came = np.diff(np.sum(tables, axis=0))
    elif tier == "hbm" and run.tiers is None:
        came, _ = np.histogram(when, edges, weights=done["reused_tokens"].to_numpy())
    else:
        return None
    part = np.where(asked > 0, came / np.maximum(asked, 1), np.nan)
    return edges[1:], np.clip(part, 0.0, 1.0)


def _rows(run: RunData, tier: str) -> pl.DataFrame | None:
    if run.tiers is None:
        return None
    rows = run.tiers.filter(run.tiers["tier"] == tier)
    return rows if len(rows) else None


def _owners(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Return each replica's own tier, or the one that they share."""
    return rows.partition_by("replica", maintain_order=True)


def _column(rows: pl.DataFrame, name: str, at: Floats) -> Floats:
    return _sampled(rows["at_s"].to_numpy(), rows[name].to_numpy().astype(np.float64), at)
