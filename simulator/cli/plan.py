"""``tierlab plan``: what fits, and how fast it can be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.cli import options

if TYPE_CHECKING:
    from tierlab.simulator.scenario.schema import Scenario


@click.command(
    epilog="""\b
Examples:
  tierlab plan --model Llama-3.1-8B --hardware H100 --context 32768
  tierlab plan --model Llama-3.1-70B --hardware 8xH100 --context 131072 --batch 16 \\
      --set engine.tensor_parallel_size=8
  tierlab plan --model ./config.json --hardware ./my-gpu.toml --context 8192 --json
  tierlab plan --model Llama-3.1-8B --hardware h200-tiered --trace log.jsonl --hit-ratio 0.3
  tierlab plan --model Llama-3.1-8B --hardware h200-tiered --trace log.jsonl --tier dram \\
      --slo ttft_p99_s=2
  tierlab plan --model Llama-3.1-8B --hardware h200-tiered --crossover --plot crossover.html
""",
)
@options.model
@options.hardware
@click.option(
    "--context",
    type=click.IntRange(min=1),
    help="Tokens per request; with --crossover the longest stored prefix.",
)
@click.option(
    "--batch", type=click.IntRange(min=1), help="Requests that decode together; most when absent."
)
@click.option("--trace", metavar="LOG", help="Size the tiers for this request log.")
@click.option("--hit-ratio", type=float, metavar="R", help="With --trace: share of blocks to hit.")
@click.option("--slo", metavar="FIGURE=S", help="With --trace: bound to meet, e.g. ttft_p99_s=2.")
@click.option(
    "--tier", "tiers", multiple=True, metavar="T", help="dram, cxl, ssd or remote. Repeatable."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0.001, 1.0),
    help="With --slo: relative width of the answer. [default: 0.1]",
)
@click.option(
    "--no-doubling", is_flag=True, help="With --trace: do not simulate the next doubling."
)
@click.option(
    "--crossover", is_flag=True, help="Say from which context on loading beats computing."
)
@click.option(
    "--blocks",
    metavar="N[,N]",
    help="With --crossover: tokens of engine blocks. [default: 16,64,256]",
)
@click.option(
    "--new-tokens",
    type=click.IntRange(min=1),
    help="With --crossover: tokens after the stored ones. [default: 512]",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE.html", help="With --crossover: a page."
)
@options.design
@options.settings
@options.as_json
def plan(
    model: str,
    hardware: str,
    trace: str | None,
    crossover: bool,
    design: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    **asked: Any,
) -> None:
    """Say what fits, the largest context and batch, and the time of prefill and decode.

    With --trace: how large the tiers below HBM must be for a hit ratio or a service level, and
    what the next doubling buys. With --crossover: where loading a stored prefix beats computing.
    """
    mode = "trace" if trace is not None else "crossover" if crossover else "context"
    _check(mode, asked | {"crossover": crossover})
    scenario = _scenario(model, hardware, trace, design, settings, mode)
    if mode == "trace":
        _size(scenario, asked, as_json)
    elif mode == "crossover":
        _cross(scenario, asked, as_json)
    else:
        _fit(scenario, asked["context"], asked["batch"], as_json)


_OPTIONS = {
    "context": ("context", "batch"),
    "trace": ("hit_ratio", "slo", "tiers", "tolerance", "no_doubling"),
    "crossover": ("crossover", "context", "tiers", "blocks", "new_tokens", "plot"),
}
"""What each way of asking takes."""


def _check(mode: str, asked: dict[str, Any]) -> None:
    """Refuse options of another way of asking, and what must not be missing."""
    for name, value in asked.items():
        given = value is not None and value is not False and value != ()
        if given and name not in _OPTIONS[mode]:
            option = "--tier" if name == "tiers" else f"--{name.replace('_', '-')}"
            needed = [f"--{m}" for m, names in _OPTIONS.items() if name in names]
            raise BadInput(option, f"does not go with --{mode}", " or ".join(needed))
    if mode == "context" and asked["context"] is None:
        raise BadInput("--context", "is missing", "tokens per request; or --trace, or --crossover")


def _scenario(
    model: str,
    hardware: str,
    trace: str | None,
    design: str | None,
    settings: tuple[str, ...],
    mode: str,
) -> Scenario:
    from tierlab.simulator.scenario.load import apply_settings, validate

    workload = {"generator": "poisson"} if trace is None else {"trace": trace}
    data: dict[str, Any] = {"model": model, "hardware": hardware, "workload": workload}
    if design or mode != "context":
        data["design"] = design or "vllm"
    apply_settings(data, settings)
    return validate(data, "plan")


def _fit(scenario: Scenario, context: int, batch: int | None, as_json: bool) -> None:
    from tierlab.simulator.planning import plan as make_plan
    from tierlab.simulator.results.manifest import dump_json

    made = make_plan(scenario, context, batch)
    if as_json:
        click.echo(dump_json(made))
    else:
        print_plan(made)


def _size(scenario: Scenario, asked: dict[str, Any], as_json: bool) -> None:
    from tierlab.simulator.cli.plan_sizing import print_study, question_of
    from tierlab.simulator.cli.progress import progress
    from tierlab.simulator.results.manifest import dump_json
    from tierlab.simulator.sizing.setting import Setting
    from tierlab.simulator.sizing.study import chosen_tiers, study
    from tierlab.simulator.workload import load_workload

    question = question_of(asked)
    setting = Setting.of(scenario)
    chosen_tiers(setting, question.tiers)
    log = load_workload(scenario.workload, scenario.seed)
    found = study(setting, log, question, progress)
    if as_json:
        click.echo(dump_json(found))
    else:
        print_study(found)


def _cross(scenario: Scenario, asked: dict[str, Any], as_json: bool) -> None:
    from tierlab.simulator.cli.plan_crossover import ask, print_crossover, write_plot
    from tierlab.simulator.results.manifest import dump_json
    from tierlab.simulator.sizing.plot import page

    plot = asked["plot"]
    if plot is not None and plot.suffix.lower() != ".html":
        raise BadInput("--plot", f"{plot} is no page", "FILE.html")
    found = ask(scenario, asked["tiers"], asked["context"], asked["blocks"], asked["new_tokens"])
    if plot is not None:
        write_plot(plot, page(found))
    if as_json:
        click.echo(dump_json(found))
    else:
        print_crossover(found)


def print_plan(p: dict[str, Any]) -> None:
    """Print a plan as a person reads it."""
    from tierlab.simulator.cli.tables import pairs, table

    pairs(f"{p['model']} on {p['hardware']}, design {p['design']}", _sizes(p))
    pairs("memory of one GPU", _memory(p))
    title = f"time of one request's prefill, and of one decode step of {p['batch']}"
    table(title, ("", "time", "p10", "p90", "tokens/s", "bound by"), _phases(p))
    pairs("where these times come from", _origins(p))
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
        rows.append([name, *times, f"{f['tokens_per_s']:,.4g}", f["bound"]])
    return rows


def _origins(p: dict[str, Any]) -> list[tuple[str, str]]:
    from tierlab.simulator.cli.time_rows import experts, origin

    told = [(f"  {name}", origin(p[name])) for name in ("prefill", "decode")]
    return [("time model", p["time_model"]), *experts(p), *told]


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
