"""What an engine did over time, second by second: measured, or read from a run's steps.

The measured form is a CSV with a column ``t`` (s) and any of ``running``, ``waiting`` (requests),
``gen_throughput`` (output tokens of the interval before, per second), ``kv_cache_pct`` (%) and
``preemptions`` (so far), as sampled from vLLM's statistics.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import read_text
from tierlab.simulator.comparison.served import Floats, Served
from tierlab.simulator.comparison.simulated import read_manifest, read_summary, read_table

SERIES = {
    "running": "requests running",
    "waiting": "requests waiting",
    "gen_throughput": "output tokens per second",
    "kv_cache_pct": "KV cache in use, %",
    "preemptions": "preemptions so far",
}
ACCEPTED = f"a CSV with t and any of {', '.join(SERIES)}"


@dataclass(frozen=True, eq=False)
class Timeline:
    """Samples of an engine: `times_s` float64[n], and float64[n] for names of `SERIES`."""

    name: str
    times_s: Floats
    series: Mapping[str, Floats]

    def shifted(self, by_s: float) -> Timeline:
        """Return the same samples on a clock that shows so much more."""
        return replace(self, times_s=self.times_s + by_s)


def read_timeline(path: Path) -> Timeline:
    """Read a measured time series.

    Raises
    ------
    BadInput
        It is no such CSV, a value is no number, or time does not increase.
    """
    rows = list(csv.reader(read_text(path, "--timeseries").splitlines()))
    header = [name.strip() for name in rows[0]] if rows else []
    if "t" not in header or not set(header) & set(SERIES):
        raise BadInput(f"{path}:1", f"columns {', '.join(header) or 'none'}"[:80], ACCEPTED)
    wanted = [name for name in header if name == "t" or name in SERIES]
    lines = [(n, row) for n, row in enumerate(rows[1:], 2) if row]
    if len(lines) < 2:
        raise BadInput(str(path), f"{len(lines)} samples", "two samples or more")
    table = {
        name: np.array([_cell(f"{path}:{n}", name, row, header) for n, row in lines])
        for name in wanted
    }
    backwards = np.flatnonzero(np.diff(table["t"]) <= 0)
    if len(backwards):
        at = lines[int(backwards[0]) + 1][0]
        raise BadInput(f"{path}:{at}", "t does not increase", "samples in order of time")
    return Timeline(str(path), table.pop("t"), table)


def _cell(where: str, name: str, row: list[str], header: list[str]) -> float:
    text = row[header.index(name)] if len(row) == len(header) else None
    if text is None:
        raise BadInput(where, f"{len(row)} cells", f"{len(header)}, as in the header")
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or value < 0:
        raise BadInput(f"{where}, {name}", f"{text!r}"[:40], "a number from 0 on")
    return value


def run_timeline(folder: Path, ours: Served, times_s: Floats) -> Timeline:
    """Sample a run, all its replicas together, at times on the clock of `ours.entered_s`.

    Tokens are those of the interval before a sample, the first interval as long as the second; of
    each preemption up to two are not in the steps, those that its recomputation ends with. Whoever
    was rejected never waited.

    Raises
    ------
    BadInput
        It is no run directory.
    """
    frame = read_table(folder, "steps.parquet")
    steps = {name: frame[name].to_numpy() for name in frame.columns}
    return sample(str(folder), steps, ours, times_s, _capacity(folder), _start(folder, ours))


def sample(
    name: str,
    steps: Mapping[str, Any],
    ours: Served,
    times_s: Floats,
    capacity_bytes: float,
    start_s: float = 0.0,
) -> Timeline:
    """Sample the steps of a run; see `run_timeline`."""
    at = times_s + start_s
    edges = np.concatenate([[2 * at[0] - at[1]], at])
    totals: dict[str, Floats] = {key: np.zeros(len(at)) for key in (*SERIES, "kv_bytes")}
    emitted = np.zeros(len(edges))
    for replica in np.unique(steps["replica"]):
        one = {key: column[steps["replica"] == replica] for key, column in steps.items()}
        for key, column in _states(one, at).items():
            totals[key] += column
        emitted += _emitted(one, edges)
    if ours.entered_s is None or ours.ends_s is None:
        raise ValueError("a run knows when its requests came and went")
    first = ours.entered_s + ours.latencies["ttft_s"]
    emitted += np.searchsorted(np.sort(first + start_s), edges, side="right")
    present = _count(ours.entered_s, times_s) - _count(ours.ends_s, times_s)
    totals["waiting"] = np.maximum(present - totals["running"], 0.0)
    totals["gen_throughput"] = np.diff(emitted) / np.diff(edges)
    totals["kv_cache_pct"] = 100.0 * totals.pop("kv_bytes") / capacity_bytes
    return Timeline(name, times_s, totals)


def _states(steps: Mapping[str, Any], at: Floats) -> dict[str, Floats]:
    """Return what holds at each time: nothing runs before, between and after steps."""
    row = np.searchsorted(steps["start_s"], at, side="right") - 1
    begun = row >= 0
    row = np.maximum(row, 0)
    busy = begun & (at < steps["end_s"][row])
    return {
        "running": np.where(busy, steps["running"][row], 0.0),
        "kv_bytes": np.where(busy, steps["kv_bytes"][row], 0.0),
        "preemptions": np.where(begun, steps["preemptions"][row], 0.0),
    }


def _emitted(steps: Mapping[str, Any], edges: Floats) -> Floats:
    """Return the tokens of decodes up to each time; those of one batch flow evenly."""
    tokens = np.cumsum(steps["steps"] * steps["decodes"]).astype(np.float64)
    knots = np.stack([steps["start_s"], steps["end_s"]], axis=1).ravel()
    before = np.concatenate([[0.0], tokens[:-1]])
    flow: Floats = np.interp(edges, knots, np.stack([before, tokens], axis=1).ravel())
    return flow


def _count(times: Floats, at: Floats) -> Floats:
    return np.searchsorted(np.sort(times), at, side="right").astype(np.float64)


def _capacity(folder: Path) -> float:
    """Return the KV bytes of one GPU of each replica, summed over replicas."""
    try:
        whole = float(read_summary(folder)["tiers"]["hbm"]["capacity_bytes"])
        gpus = int(read_manifest(folder)["scenario"]["engine"]["tensor_parallel_size"])
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            str(folder), "its summary or manifest is incomplete", "a whole run"
        ) from None
    return whole / gpus


def _start(folder: Path, ours: Served) -> float:
    """Return when the clock of `ours` starts, on the clock of the steps."""
    import polars as pl

    column = "queued_s" if ours.queued else "arrival_s"
    frame = read_table(folder, "requests.parquet").filter(pl.col("status") == "completed")
    return float(frame[column].to_numpy().min())
