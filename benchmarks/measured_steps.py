"""How long single steps took in the measured run on an RTX 4090, and how long its profile says.

The log has no steps, but at first every step is at the full budget, and begins when a request is
first scheduled or ends with a first token; and a second without prefill has as many steps as tokens
for each running request.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tierlab.hwmodels.time.profile import StepProfile
from tierlab.simulator.comparison.overtime import again
from tierlab.simulator.comparison.served import Served
from tierlab.simulator.comparison.timeline import Timeline
from tierlab.simulator.serving.profiletime import ProfileTimer

BLOCKS = 2588
DENSE_S = (1.9, 4.22)
"""When every step is at the full budget of 2,048 tokens."""
MANY_S = 0.19
"""Steps as long are those."""
KEYS = 600, 2500
"""Mean keys of a request among which batches of this run are."""
Seen = tuple[Timeline, Served]


def full_steps(s: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the seconds of a run's steps at the full budget that follow each other at first."""
    seconds = s["end_s"] - s["start_s"]
    dense = (s["start_s"] > DENSE_S[0]) & (s["end_s"] < DENSE_S[1]) & (s["prefills"] > 0)
    return seconds[dense & (seconds > MANY_S)]


def measured_steps(measured: Served) -> np.ndarray:
    """Return the steps between consecutive first schedules and first tokens that fill them."""
    begun = measured.entered_s + measured.latencies["queue_s"]
    first = measured.entered_s + measured.latencies["ttft_s"]
    ends = np.unique(np.round(np.concatenate([begun, first]), 3))
    ends = ends[np.concatenate([[True], np.diff(ends) > 0.002])]
    dense = np.diff(ends[(ends > DENSE_S[0]) & (ends < DENSE_S[1])])
    return dense[dense > MANY_S]


def decode_errors(line: Timeline, served: Served, clock: ProfileTimer) -> np.ndarray:
    """Return (samples, 3): milliseconds of a decode step, by the clock, preempted ones waiting.

    A second without prefill has as many steps as tokens for each running request. Other seconds
    are NaN. The clock is asked for the mean batch and the mean length of its KV.
    """
    begun = np.sort(served.entered_s + served.latencies["queue_s"])
    first = np.sort(served.entered_s + served.latencies["ttft_s"])
    waits, out = again(line, served), np.full((len(line.times_s), 3), np.nan)
    calm = np.diff(waits, prepend=np.inf) >= 0
    for times in (begun, first):
        calm[1:] &= np.diff(np.searchsorted(times, line.times_s)) == 0
    running, held = (mid(line.series[key]) for key in ("running", "kv_cache_pct"))
    for i in np.flatnonzero(calm & (running >= 3)):
        keys = held[i] / 100 * (BLOCKS - 1) * 16 / running[i] - 8
        batch = np.full(round(running[i]), int(keys))
        told = clock.decode(batch, 1).seconds[0] * running[i] / len(batch)
        out[i] = running[i] / line.series["gen_throughput"][i] * 1e3, told * 1e3, waits[i]
    return out


def mid(values: np.ndarray) -> np.ndarray:
    return (values + np.concatenate([[0.0], values[:-1]])) / 2


def print_steps(
    record: Mapping[str, np.ndarray], seen: Seen, simulated: Seen, profile: StepProfile
) -> None:
    """Print steps that the log shows one by one, and decode steps of whole seconds."""
    theirs, ours = measured_steps(seen[1]), full_steps(record)
    print("\n| steps | number | measured ms | by the profile ms | error | estimator's own |")
    print("|---|---|---|---|---|---|")
    one, other = ours.mean() * 1e3, theirs.mean() * 1e3
    cells = f"{len(theirs)}, {len(ours)} | {other:.1f} | {one:.1f} | {one / other - 1:+.1%}"
    print(f"| at the full budget, on end | {cells} | - |")
    clock, line = ProfileTimer(profile), seen[0]
    found, check = (decode_errors(*one, clock) for one in (seen, simulated))
    queue = line.times_s < line.times_s[np.flatnonzero(line.series["waiting"])[-1]]
    for title, chosen in {
        "decodes, 4 or more preempted wait": lambda x: queue & (x[:, 2] >= 4),
        "decodes, fewer preempted wait": lambda x: queue & (x[:, 2] < 4),
        "decodes, the queue is empty": lambda x: ~queue & ~np.isnan(x[:, 2]),
    }.items():
        want, own = found[chosen(found)], check[chosen(check)]
        observed, told = np.median(want[:, 0]), np.median(want[:, 1])
        error, bias = (np.median(x[:, 1] / x[:, 0]) - 1 for x in (want, own))
        cells = f"{len(want)} s | {observed:.2f} | {told:.2f} | {error:+.1%} | {bias:+.1%}"
        print(f"| {title} | {cells} |")


def print_ragged(path: Path) -> None:
    """Print what decode attention takes over ragged batches, beside even ones of as many keys."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["regime"] == "pure"]
    shares = []
    for batch in (16, 32, 64):
        chosen = [
            r for r in rows if int(r["n"]) == batch and KEYS[0] <= int(r["kv_mean"]) <= KEYS[1]
        ]
        ratio = [float(r["t_skew_us"]) / float(r["t_mean_us"]) - 1 for r in chosen]
        shares.append(f"{np.median(ratio):+.1%} of {batch} ({len(ratio)} points)")
    print(f"\nAttention of ragged batches, median over the profile: {', '.join(shares)}.")
