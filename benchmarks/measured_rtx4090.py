"""The measured vLLM run on an RTX 4090 beside its simulation.

python benchmarks/measured_rtx4090.py FOLDER [PICTURES]

FOLDER holds requests.jsonl, timeseries.csv and the profile (LLMServingSim, MIT). Prints a Markdown
page; PICTURES is where its plots go, by default docs/results.
"""

import csv
import sys
from pathlib import Path
from unittest import mock

import numpy as np
from ablation_rtx4090 import scenario

from tierlab.simulator.comparison.measured import read_measured
from tierlab.simulator.comparison.served import Served, per_output_token
from tierlab.simulator.serving import assemble
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.engine.state import NOT_BEFORE
from tierlab.simulator.serving.run import Run, serve
from tierlab.simulator.workload import load_workload

SHORT_S = 0.5
FIRST_STEP_S = 0.387
"""When the measured engine looked at its inbox again after its first step."""
COLOURS = {"measured": "#b3541e", "simulated": "#1f5fa8"}
Line = tuple[np.ndarray, np.ndarray]


def of(run: Run) -> Served:
    """Return a run's requests as vLLM logs them: from when the engine first saw them."""
    r = run.requests
    first, last, queued = r.first_token_s, r.last_token_s, r.queued_s
    latencies = {
        "ttft_s": first - queued,
        "tpot_s": per_output_token(first, last, r.generated),
        "e2e_s": last - queued,
        "queue_s": r.scheduled_s - queued,
        "service_s": first - r.scheduled_s,
    }
    return Served(
        "simulated", r.arrival_s, r.input_tokens, r.generated, latencies, last, queued=True
    )


def series(folder: Path) -> dict[str, np.ndarray]:
    with (folder / "timeseries.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def at_seconds(run: Run, column: str, seconds: np.ndarray) -> np.ndarray:
    """Return what a column of the steps said last before each second."""
    steps = run.record.columns()
    at = np.searchsorted(steps["end_s"], seconds, side="right") - 1
    return np.where(at >= 0, steps[column][np.maximum(at, 0)], 0.0)


def generated(run: Run, seconds: np.ndarray) -> np.ndarray:
    """Return the tokens that steps emitted in the second before each of `seconds`."""
    steps = run.record.columns()
    total = np.zeros(len(seconds) + 1)
    edges = np.concatenate([[seconds[0] - 1.0], seconds])
    span = np.maximum(steps["end_s"] - steps["start_s"], 1e-12)
    for start, length, n, decodes in zip(
        steps["start_s"], span, steps["steps"], steps["decodes"], strict=True
    ):
        total += n * decodes * np.clip((edges - start) / length, 0.0, 1.0)
    first = run.requests.first_token_s
    total += np.searchsorted(np.sort(first), edges, side="right")
    return np.diff(total)


def row(what: str, measured: float, ours: float, limit: float, unit: str) -> None:
    error = ours / measured - 1.0
    verdict = "yes" if abs(error) <= limit else "**no**"
    print(
        f"| {what} | {measured:,.4g} {unit} | {ours:,.4g} {unit} | {error:+.1%} | {limit:.0%} "
        f"| {verdict} |"
    )


def check(what: str, error: float, limit: float) -> None:
    verdict = "yes" if error <= limit else "**no**"
    print(f"| {what} | | | {error:.1%} | {limit:.0%} | {verdict} |")


def plot(path: Path, title: str, lines: dict[str, Line]) -> None:
    """Write a plot of lines over time as SVG."""
    width, height, left, top = 720, 240, 52, 30
    most_x = max(x.max() for x, _ in lines.values())
    most_y = 1.05 * max((y.max() for _, y in lines.values()), default=1.0)
    space, fonts = 'xmlns="http://www.w3.org/2000/svg"', 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg {space} viewBox="0 0 {width} {height}" {fonts}>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="18" font-weight="bold">{title}</text>',
    ]
    right, bottom = width - 12, height - 30

    def place(x: float, y: float) -> str:
        across = left + (right - left) * x / most_x
        return f"{across:.1f},{bottom - (bottom - top) * y / most_y:.1f}"

    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - (bottom - top) * share
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>')
        text = f"{share * most_y:,.0f}"
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for seconds in range(0, int(most_x) + 1, 30):
        x = left + (right - left) * seconds / most_x
        text = f"{seconds} s"
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    for i, (name, (x, y)) in enumerate(lines.items()):
        points = " ".join(place(a, b) for a, b in zip(x, y, strict=True))
        colour = COLOURS[name]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        )
        across = right - 170 + 90 * i
        parts.append(f'<text x="{across}" y="18" fill="{colour}">{name}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def figures(run: Run, blocks: int, measured: Served, seen: dict[str, np.ndarray]) -> None:
    """Print the figures with their tolerances."""
    ours = of(run)
    got, want = ours.latencies, measured.latencies
    print("| figure | measured | simulated | error | tolerance | met |")
    print("|---|---|---|---|---|---|")
    row("KV blocks by the memory formula", 2588, blocks, 0.0, "")
    for mark, reduce in (("mean", np.mean), ("median", np.median)):
        name = f"prefill service, {mark}"
        row(name, reduce(want["service_s"]) * 1e3, reduce(got["service_s"]) * 1e3, 0.05, "ms")
    row("TPOT, mean", want["tpot_s"].mean() * 1e3, got["tpot_s"].mean() * 1e3, 0.02, "ms")
    row("E2E latency, mean", want["e2e_s"].mean(), got["e2e_s"].mean(), 0.02, "s")
    row("TTFT, mean", want["ttft_s"].mean(), got["ttft_s"].mean(), 0.02, "s")
    check(
        f"TTFT of {short(measured).sum()} that queued under {SHORT_S} s, median error",
        early(ours, measured),
        0.10,
    )
    rate, emitted = seen["gen_throughput"], generated(run, seen["t"])
    row("tokens of a second, median over the run", np.median(rate), np.median(emitted), 0.05, "")
    for window_s in (1, 5, 10):
        one, other = (means(x, window_s) for x in (emitted, rate))
        error = np.median(np.abs(one[other > 0] / other[other > 0] - 1.0))
        check(f"tokens of the same {window_s} s, median error", error, 0.05)
    noise = np.median(np.abs(rate[1:] / np.maximum(rate[:-1], 1.0) - 1.0))
    print(f"\nTokens of a second differ by {noise:.1%} (median) from those of the second before.")


def short(measured: Served) -> np.ndarray:
    return measured.latencies["queue_s"] < SHORT_S


def early(ours: Served, measured: Served) -> float:
    """Return the median error of TTFT among those that hardly queued."""
    chosen = short(measured)
    errors = ours.latencies["ttft_s"][chosen] / measured.latencies["ttft_s"][chosen] - 1.0
    return float(np.median(np.abs(errors)))


def means(values: np.ndarray, window: int) -> np.ndarray:
    whole = len(values) // window * window
    return values[:whole].reshape(-1, window).mean(axis=1)


def cold(made, parts, trace) -> Run:
    """Serve with the first step ending when the measured one did: a fresh engine is slow once."""
    fresh = assemble.new_core

    def slow_once(*arguments, **more):
        core = fresh(*arguments, **more)
        core.real[NOT_BEFORE] = FIRST_STEP_S
        return core

    with mock.patch.object(assemble, "new_core", slow_once):
        return serve(made, parts, trace)


def main(folder: Path, pictures: Path) -> None:
    made = scenario(folder, {})
    free = made.model_copy(
        update={"engine": made.engine.model_copy(update={"num_gpu_blocks": None})}
    )
    parts, trace = build(made), load_workload(made.workload, made.seed)
    run, seen = serve(made, parts, trace), series(folder)
    measured = read_measured(folder / "requests.jsonl")
    figures(run, build(free).pool.num_blocks, measured, seen)
    error = early(of(cold(made, parts, trace)), measured)
    print(
        f"With a first step of {FIRST_STEP_S} s the TTFT of the early ones is off by {error:.1%}."
    )
    t, pool = seen["t"], parts.pool
    held = at_seconds(run, "kv_bytes", t) / (pool.num_blocks * pool.block_bytes) * 100
    plots = {
        "running": ("requests running", seen["running"], at_seconds(run, "running", t)),
        "waiting": ("requests waiting", seen["waiting"], at_seconds(run, "waiting", t)),
        "tokens": ("output tokens of each second", seen["gen_throughput"], generated(run, t)),
        "kv": ("KV cache in use, %", seen["kv_cache_pct"], held),
    }
    for name, (title, theirs, ours) in plots.items():
        lines = {"measured": (t, theirs), "simulated": (t, ours)}
        plot(pictures / f"measured_rtx4090_{name}.svg", title, lines)
    steps = run.record.columns()
    lines = {"simulated": (steps["end_s"], steps["preemptions"])}
    plot(pictures / "measured_rtx4090_preemptions.svg", "preemptions so far", lines)
    print(f"Preemptions: {int(run.requests.preemptions.sum())}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path("docs/results"))
