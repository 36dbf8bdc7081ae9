"""What the tables of step times lose against the time model itself, on a run's own batches.

python benchmarks/clock_error.py [--trace TRACE] [--time MODEL] [--requests N]

Runs the scenario of `bench_serving`, or the first N requests of a trace with its model, with the
loop as plain Python; notes a sample of its steps; and asks the time model for their decode batches
and chunks at their own lengths. Prints how far the tables are off: in attention alone, in the whole
step of decodes, and in what depends on the tokens of a step alone.
"""

import random
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import launched
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.kernels.ops.table import Work
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving import replica
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.engine import loop, opclock
from tierlab.simulator.serving.engine.state import STEPS, Core
from tierlab.simulator.serving.lookup import over
from tierlab.simulator.serving.run import simulate
from tierlab.simulator.serving.steptime import StepTimer
from tierlab.simulator.serving.timers import step_timer

Floats = NDArray[np.float64]
MOST = 5000
"""Steps of each kind that are kept."""


class Noted:
    """A sample of steps.

    Attributes
    ----------
    decodes
        (sequences, mean keys, longest, seconds of the step), of steps of decodes alone.
    chunks
        (tokens, keys before them).
    tokens
        (tokens of a step,), of steps with chunks.
    """

    def __init__(self) -> None:
        self.decodes: list[tuple[float, ...]] = []
        self.chunks: list[tuple[float, ...]] = []
        self.tokens: list[tuple[float, ...]] = []
        self._seen = dict.fromkeys(map(id, (self.decodes, self.chunks, self.tokens)), 0)
        self._draw = random.Random(1)

    def take(self, core: Core) -> None:
        """Note one step of a batch whose times were just found."""
        batch, (decodes, chunks) = core.batch, core.batch.number[:2]
        if chunks:
            for row, tokens in zip(batch.chunks[:chunks], batch.tokens, strict=False):
                self._add(self.chunks, float(tokens), float(core.r.computed[row]))
            self._add(self.tokens, float(decodes + batch.tokens[:chunks].sum()))
            return
        step = self._draw.randrange(int(core.reg[STEPS]))
        keys = core.r.computed[batch.decodes[:decodes]] + 1.0 + step
        took_s = float(core.seconds[step])
        self._add(self.decodes, float(decodes), float(keys.mean()), float(keys.max()), took_s)

    def _add(self, kept: list[tuple[float, ...]], *one: float) -> None:
        self._seen[id(kept)] += 1
        place = len(kept) if len(kept) < MOST else self._draw.randrange(self._seen[id(kept)])
        if place < MOST:
            kept[place : place + 1] = [one]


class PlainEngine:
    """The loop, not compiled."""

    def __init__(self, core: Core, clock: Any, times: Any) -> None:
        self.advance = partial(loop.advance, core, times)


def watch(noted: Noted) -> None:
    """Let the loop run as plain Python, and tell of its batches."""

    def told(find: Any, clock: Any, core: Core) -> int:
        lacks = int(find(clock, core))
        if lacks < 0:
            noted.take(core)
        return lacks

    plain: Any = loop
    plain.decode_seconds = partial(told, opclock.decode_seconds)
    plain.mixed_seconds = partial(told, opclock.mixed_seconds)
    replica.Engine = PlainEngine  # type: ignore[misc, assignment]


def asked(timer: StepTimer, work: Work, steps: int) -> Floats:
    """Return what the time model says of each step's attention, s."""
    work = launched(timer.times, work)
    return work.per_step(timer.times.predict(work.ops).seconds, steps)


def of_decodes(timer: StepTimer, noted: Noted) -> None:
    """Print how far steps of decodes are off."""
    count, mean, longest, took_s = np.array(noted.decodes).T
    batch, spread = count.astype(np.int64), longest / mean - 1.0
    work = decode_work(timer.model, timer.tp, timer.kv_dtype, batch, mean, spread)
    own_s = asked(timer, work, len(batch))
    fixed_s = timer.by_sequences[0][batch].sum(axis=1)
    host_s = np.array([timer.host_s(n, n, True) for n in batch])
    device_s = took_s - host_s[:, 0]
    bound = device_s > host_s[:, 1] * (1.0 + 1e-9)
    print(f"{len(batch):,} steps of decodes, {batch.min()} to {batch.max()} sequences; the longest")
    print(f"exceeds the mean by {', '.join(f'{x:.0%}' for x in quantiles(spread))}")
    show("decode attention", (device_s - fixed_s)[bound], own_s[bound])
    show("their whole step", took_s, host_s[:, 0] + np.maximum(fixed_s + own_s, host_s[:, 1]))


def of_chunks(timer: StepTimer, noted: Noted) -> None:
    """Print how far the attention of chunks is off."""
    q_len, past = np.array(noted.chunks).astype(np.int64).T
    table = timer.chunks.need(q_len, past)
    axes, sources = (timer.queries, timer.keys), range(len(table))
    pairs = zip(q_len, past, strict=True)
    found = [sum(over(*axes, table, s, float(q), float(p)) for s in sources) for q, p in pairs]
    chunks = prefill_work(timer.model, timer.tp, timer.kv_dtype, q_len, q_len + past, timer.weights)
    print(f"{len(q_len):,} chunks of {q_len.min():,} to {q_len.max():,} tokens")
    show("prefill attention", np.array(found), asked(timer, chunks, len(q_len)))


def of_tokens(timer: StepTimer, noted: Noted) -> None:
    """Print how far what depends on the tokens of a step is off."""
    tokens = np.array(noted.tokens).astype(np.int64)[:, 0]
    padded = timer.graphs.padded(tokens, False)
    work = launched(timer.times, dense_work(timer.model, timer.weights, timer.tp, padded, 0))
    own_s = work.per_step(timer.times.predict(work.ops).seconds, len(tokens))
    found = [timer.dense.at(count).sum() for count in tokens.tolist()]
    print(f"{len(tokens):,} steps of {tokens.min():,} to {tokens.max():,} tokens")
    show("all but attention", np.array(found), own_s)


def quantiles(values: Floats) -> Floats:
    """Return the median, p90, p99 and the most."""
    found: Floats = np.quantile(values, (0.5, 0.9, 0.99, 1.0))
    return found


def show(name: str, table_s: Floats, own_s: Floats) -> None:
    """Print one line of errors."""
    off = table_s / own_s - 1.0
    cells = "".join(f"{x:9.3%}" for x in quantiles(np.abs(off)))
    print(f"{name:20}{cells}{table_s.sum() / own_s.sum() - 1.0:+11.3%}")


@click.command()
@click.option("--trace", help="path of a log instead of bench_serving's requests")
@click.option("--time", "model", default="silicon", show_default=True, help="time model")
@click.option("--requests", default=1000, show_default=True)
@click.option("--scale", default=1.0, show_default=True, help="multiplies a trace's arrival times")
def main(trace: str | None, model: str, requests: int, scale: float) -> None:
    """Hold step times against the time model."""
    lengths = {"input_tokens": 1024, "output_tokens": 256, "requests_per_s": 5.0}
    workload: dict[str, object] = {"trace": trace, "limit": requests, "arrival_scale": scale}
    if trace is None:
        workload = {"generator": "poisson", "parameters": {"requests": requests, **lengths}}
    scenario = validate(
        {
            "model": {"name": "Qwen3-32B", "weights": "fp8"},
            "hardware": "H200",
            "design": "vllm",
            "workload": workload,
            "time": {"model": model},
        },
        "benchmark",
    )
    noted = Noted()
    watch(noted)
    with np.errstate(over="ignore"):  # the pool's hash wraps around, as it does compiled
        simulate(scenario)
    timer = step_timer(scenario, build(scenario))
    print(f"{'off by':20}{'median':>9}{'p90':>9}{'p99':>9}{'most':>9}{'in all':>11}")
    of_decodes(timer, noted)
    of_chunks(timer, noted)
    of_tokens(timer, noted)


if __name__ == "__main__":
    main()
