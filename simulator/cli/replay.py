"""``tierlab replay``: simulate a request log without writing a scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tierlab.simulator.cli import options


@click.command(
    epilog="""\b
Examples:
  tierlab replay conversation_trace.jsonl --model Llama-3.1-8B --hardware H200
  tierlab replay log.csv --format generic --column arrival_s=ts --column input_tokens=prompt \\
      --column output_tokens=completion --model qwen3-8b --hardware L40S
  tierlab replay trace.jsonl.zst --model Llama-3.1-70B --hardware 8xH100 \\
      --set engine.tensor_parallel_size=8 --set slo.ttft_s=2 --json
""",
)
@click.argument("trace")
@options.model
@options.hardware
@options.design
@click.option("--format", "log_format", default=None, help="Log format; detected when absent.")
@click.option(
    "--column", "column_map", multiple=True, metavar="OURS=THEIRS", help="Column of a generic log."
)
@click.option(
    "--skip-bad", is_flag=True, help="Leave malformed records out; count and list them on stderr."
)
@options.simulation
def replay(
    trace: str,
    model: str,
    hardware: str,
    design: str | None,
    log_format: str | None,
    column_map: tuple[str, ...],
    skip_bad: bool,
    settings: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    timeline: str | None,
    timeline_window: str | None,
    bands: bool,
) -> None:
    """Simulate the request log TRACE on a model and hardware."""
    from tierlab.simulator.cli.simulate import simulate_and_print
    from tierlab.simulator.scenario.load import apply_settings, parse_setting, validate

    workload: dict[str, Any] = {"trace": trace}
    if log_format:
        workload["format"] = log_format
    if column_map:
        pairs = [parse_setting(pair) for pair in column_map]
        workload["columns"] = {key[0]: str(value) for key, value in pairs}
    if skip_bad:
        workload["skip_bad"] = True
    data: dict[str, Any] = {"model": model, "hardware": hardware, "workload": workload}
    if design:
        data["design"] = design
    apply_settings(data, settings)
    simulate_and_print(
        validate(data, "replay"), output, as_json, bands, (timeline, timeline_window)
    )
