"""What each scheduler rule is worth on the measured vLLM run: the run without it.

python benchmarks/ablation_rtx4090.py FOLDER

FOLDER holds requests.jsonl and the profile (LLMServingSim, MIT). Prints a Markdown table of
simulated figures, the measured ones first.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import click
import numpy as np

from tierlab.simulator.metrics.latency import Latencies
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.engine import moves, new, schedule, state
from tierlab.simulator.serving.engine.compiled import loop_of
from tierlab.simulator.serving.engine.pool import release
from tierlab.simulator.serving.run import Run, simulate

Figures = tuple[float, float, float, float, float, float]
HEAD = "| without | prefill service s | TTFT s | TPOT ms | E2E s | preemptions | recomputed |"


def scenario(folder: Path, engine: dict[str, object], design: str = "vllm"):
    columns = {"arrival_s": "arrival_time", "input_tokens": "input_toks"}
    columns["output_tokens"] = "output_toks"
    settings = {"num_gpu_blocks": 2588, "max_num_batched_tokens": 2048, "max_num_seqs": 256}
    return validate(
        {
            "model": "Llama-3.1-8B",
            "hardware": "RTX-4090",
            "design": design,
            "workload": {"trace": str(folder / "requests.jsonl"), "columns": columns},
            "engine": {"max_model_len": 32768, **settings, **engine},
            "time": {"model": f"profile:{folder}"},
        },
        "ablation",
    )


def figures(run: Run) -> Figures:
    found, r = Latencies.of(run.requests), run.requests
    service = (r.first_token_s - r.scheduled_s).mean()
    means = (found.ttft_s.mean(), found.tpot_s.mean() * 1e3, found.e2e_s.mean())
    return (service, *means, r.preemptions.sum(), r.recomputed.sum())


def measured(folder: Path) -> Figures:
    lines = (folder / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    numbers = [key for key in rows[0] if key != "request_id"]
    column = {key: np.array([row[key] for row in rows], float) for key in numbers}
    first, last = column["first_token_ts"], column["last_token_ts"]
    tpot = (last - first) / (column["output_toks"] - 1)
    means = ((first - column["queued_ts"]).mean(), tpot.mean() * 1e3)
    e2e = (last - column["queued_ts"]).mean()
    return ((first - column["scheduled_ts"]).mean(), *means, e2e, np.nan, np.nan)


@contextmanager
def changed(target: object, name: str, other: object) -> Iterator[None]:
    """Compile the loop with another function in place of a rule."""
    loop_of.cache_clear()
    with mock.patch.object(target, name, other):
        yield
    loop_of.cache_clear()


def first_chunk(core, whole, hits, budget):
    chunk = min(whole, hits * core.reg[BLOCK_SIZE] + budget)
    return blocks_for(core.units, core.reg[BLOCK_SIZE], chunk) - hits


def preempt_first(core):
    last = core.reg[RUNNING] - 1
    row = core.running[0]
    for i in range(last):
        core.running[i] = core.running[i + 1]
    core.running[last] = row
    return preempt_last(core)


def to_the_back(core):
    done = preempt_last(core)
    if done:
        append(core.reg, core.r.link, WAITING, pop(core.reg, core.r.link, WAITING))
    return done


def parents_first(blocks, table, seat, held):
    for i in range(held // 2):
        table[seat, i], table[seat, held - 1 - i] = table[seat, held - 1 - i], table[seat, i]
    release(blocks, table, seat, held)


def all_blocks(kv):
    return kv.num_blocks


BLOCK_SIZE, RUNNING, WAITING = state.BLOCK_SIZE, state.RUNNING, state.WAITING
append, pop = state.append, state.pop
blocks_for, preempt_last = moves.blocks_for, schedule.preempt_last


def variants(folder: Path) -> Iterator[tuple[str, Callable[[], Run]]]:
    plain = scenario(folder, {})

    def patched(target: object, name: str, other: object) -> Callable[[], Run]:
        def run() -> Run:
            with changed(target, name, other):
                return simulate(plain)

        return run

    yield "nothing: the rules as they are", lambda: simulate(plain)
    sync = scenario(folder, {"async_scheduling": False})
    yield "asynchronous scheduling", lambda: simulate(sync)
    forgets = scenario(folder, {}, "baseline")
    yield "a victim's blocks staying hittable", lambda: simulate(forgets)
    yield "whole-input admission", patched(schedule, "needed", first_chunk)
    yield (
        "the last as victim (the first instead)",
        patched(schedule, "preempt_last", preempt_first),
    )
    yield (
        "a victim waiting in front (at the back instead)",
        patched(schedule, "preempt_last", to_the_back),
    )
    yield "leaves freed before parents", patched(moves, "release", parents_first)
    yield "the null block", patched(new, "usable_blocks", all_blocks)
    whole = scenario(folder, {"max_num_batched_tokens": 32768})
    yield "chunked prefill (a budget of 32,768 tokens)", lambda: simulate(whole)


def show(name: str, f: Figures) -> None:
    counts = ["-" if np.isnan(x) else f"{x:,.0f}" for x in f[4:]]
    print(f"| {name} | {f[0]:.4f} | {f[1]:.2f} | {f[2]:.2f} | {f[3]:.2f} | {' | '.join(counts)} |")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Print the table; FOLDER is the measured run's data."""
    print(HEAD)
    print("|---|---|---|---|---|---|---|")
    show("*measured*", measured(folder))
    for label, run in variants(folder):
        show(label, figures(run()))


if __name__ == "__main__":
    main()
