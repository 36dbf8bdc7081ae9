"""``tierlab plan``: what fits, and how fast it can be."""

from __future__ import annotations

from typing import Any

import click

from tierlab.simulator.cli import options


@click.command(
    epilog="""\b
Examples:
  tierlab plan --model Llama-3.1-8B --hardware H100 --context 32768
  tierlab plan --model Llama-3.1-70B --hardware 8xH100 --context 131072 --batch 16 \\
      --set engine.tensor_parallel_size=8
  tierlab plan --model ./config.json --hardware ./my-gpu.toml --context 8192 --json
""",
)
@options.model
@options.hardware
@click.option("--context", required=True, type=click.IntRange(min=1), help="Tokens per request.")
@click.option(
    "--batch", type=click.IntRange(min=1), help="Requests that decode together; most when absent."
)
@options.design
@options.settings
@options.as_json
def plan(
    model: str,
    hardware: str,
    context: int,
    batch: int | None,
    design: str | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what fits, the largest context and batch, and the time of prefill and decode."""
    from tierlab.simulator.planning import plan as make_plan
    from tierlab.simulator.results.manifest import dump_json
    from tierlab.simulator.scenario.load import apply_settings, validate

    data: dict[str, Any] = {"model": model, "hardware": hardware}
    data["workload"] = {"generator": "poisson"}
    if design:
        data["design"] = design
    apply_settings(data, settings)
    made = make_plan(validate(data, "plan"), context, batch)
    if as_json:
        click.echo(dump_json(made))
    else:
        print_plan(made)


def print_plan(p: dict[str, Any]) -> None:
    """Print a plan as a person reads it."""
    from tierlab.simulator.cli.tables import pairs, table

    pairs(f"{p['model']} on {p['hardware']}, design {p['design']}", _sizes(p))
    pairs("memory of one GPU", _memory(p))
    title = f"time of one request's prefill, and of one decode step of {p['batch']}"
    table(title, ("", "time", "p10", "p90", "tokens/s", "bound by", "source"), _phases(p))
    columns = ("", "lasts", "device", "host", "launching", "regime", "launches", "as tokens")
    table("how long the steps last with the host", columns, _steps(p))


def _sizes(p: dict[str, Any]) -> list[tuple[str, str]]:
    from tierlab.kernels.base.units import gib

    kv = p["kv"]
    params = f"{p['parameters']:,}"
    if p["mixture_of_experts"]:
        params += f", {p['active_parameters']:,} active per token"
    fits = "fits" if p["fits"] else "does NOT fit"
    return [
        ("parameters", params),
        ("KV of one token", f"{kv['bytes_per_token']:,.0f} B a GPU"),
        ("KV of one context", f"{gib(kv['bytes_of_context'])} a GPU"),
        ("asked", f"{p['batch']} x {p['context']:,} tokens: {fits}"),
        ("largest batch", f"{p['largest_batch']:,} at {p['context']:,} tokens"),
        ("largest context", f"{p['largest_context']:,} tokens"),
        ("KV blocks", f"{kv['num_gpu_blocks']:,} of {kv['block_size']} tokens"),
    ]


def _memory(p: dict[str, Any]) -> list[tuple[str, str]]:
    from tierlab.kernels.base.units import gib

    labels = {
        "device_bytes": "device, as the driver reports",
        "usable_bytes": "x gpu_memory_utilization",
        "weights_bytes": "- weights",
        "activation_bytes": "- activation peak",
        "non_torch_bytes": "- context, collectives",
        "graph_bytes": "- graphs",
        "kv_bytes": "= KV cache",
    }
    return [(labels[name], gib(abs(value))) for name, value in p["memory"].items()]


def _phases(p: dict[str, Any]) -> list[list[str]]:
    from tierlab.kernels.base.units import duration

    rows = []
    for name in ("prefill", "decode"):
        f = p[name]
        times = [duration(f[key]) for key in ("seconds", "p10_s", "p90_s")]
        source = f["source"] + (", extrapolated" if f["extrapolated"] else "")
        rows.append([name, *times, f"{f['tokens_per_s']:,.4g}", f["bound"], source])
    return rows


def _steps(p: dict[str, Any]) -> list[list[str]]:
    from tierlab.kernels.base.units import duration

    rows = []
    for name in ("prefill", "decode"):
        f = p[name]
        times = [duration(f[key]) for key in ("step_s", "device_s", "host_work_s", "host_launch_s")]
        times[2] += " beside" if f["host_overlaps"] else " before"
        launches = f"{f['kernel_launches']} + {f['graph_launches']} graphs"
        rows.append([name, *times, f["regime"], launches, f"{f['padded_tokens']:,}"])
    return rows
