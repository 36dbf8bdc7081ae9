"""What tiers below HBM cost the engine: real logs on eight replicas with four tiers.

python benchmarks/bench_tiers.py [TRACES], default ../shared/traces

TRACES holds mooncake/ and claude_code/; a log that is absent is left out. Each run is a process of
its own, so that its peak memory is its own; beside it the same run without tiers, and the ratio of
their CPU time, which other work on the machine disturbs less than the clock's.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import click

from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.run import simulate

TRACES = Path(__file__).resolve().parent.parent.parent / "shared" / "traces"
TIERS = {
    "dram": {"capacity": "64 GiB"},
    "cxl": {"capacity": "128 GiB"},
    "ssd": {"capacity": "1 TB"},
}
MOONCAKE = "mooncake/conversation_trace.jsonl"
AGENTS = "claude_code/claude_code_traces_710.compact.jsonl.zst"
CASES = {
    "Mooncake conversation, 512-token blocks": ("Llama-3.1-8B", MOONCAKE, 512, "open"),
    "Mooncake conversation, 16-token blocks": ("Llama-3.1-8B", MOONCAKE, 16, "open"),
    "Claude Code sessions, closed loop": ("Qwen2.5-7B-Instruct-1M", AGENTS, 64, "closed"),
}


def once(traces: Path, case: str, tiers: bool) -> dict[str, float]:
    """Return seconds and figures of one run in this process, once everything is compiled."""
    model, file, block, arrivals = CASES[case]

    def scenario(limit: int | None):
        workload = {"trace": str(traces / file), "arrivals": arrivals, "limit": limit}
        return validate(
            {
                "model": model,
                "hardware": "h200-8x-tiered",
                "design": "vllm",
                "workload": workload,
                "engine": {
                    "replicas": 8,
                    "block_size": block,
                    "routing": "prefix_aware",
                    "gpu_memory_utilization": 0.4,
                },
                "tiers": TIERS if tiers else {},
                "time": {"model": "roofline"},
            },
            "benchmark",
        )

    simulate(scenario(200))
    start, began = time.perf_counter(), time.process_time()
    run = simulate(scenario(None))
    took, worked = time.perf_counter() - start, time.process_time() - began
    reused = run.ledger.reused
    return {
        "seconds": took,
        "cpu": worked,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "hbm": reused["hbm"] / run.requests.input_tokens.sum(),
        "below": (sum(reused.values()) - reused["hbm"]) / run.requests.input_tokens.sum(),
    }


def apart(traces: Path, case: str, tiers: bool) -> dict[str, float]:
    arguments = [sys.executable, __file__, str(traces), "--case", case]
    done = subprocess.run(
        arguments + ["--tiers"] * tiers, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


@click.command()
@click.argument("traces", type=click.Path(path_type=Path), default=TRACES)
@click.option("--case", hidden=True)
@click.option("--tiers", is_flag=True, hidden=True)
def main(traces: Path, case: str | None, tiers: bool) -> None:
    """Time runs with and without tiers."""
    if case is not None:
        click.echo(json.dumps(once(traces, case, tiers)))
        return
    print(
        "| run | HBM alone, CPU s | four tiers, CPU s | elapsed s | ratio | peak MB "
        "| from HBM | from below |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, (_, file, *_) in CASES.items():
        if not (traces / file).exists():
            print(f"| {name} | {traces / file} is absent | | | | | | |")
            continue
        plain, below = (apart(traces, name, tiers) for tiers in (False, True))
        ratio = below["cpu"] / plain["cpu"]
        print(
            f"| {name} | {plain['cpu']:.2f} | {below['cpu']:.2f} | {below['seconds']:.2f} "
            f"| {ratio:.2f} | {below['mb']:.0f} | {below['hbm']:.1%} | {below['below']:.1%} |"
        )


if __name__ == "__main__":
    main()
