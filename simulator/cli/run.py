"""``tierlab run``: simulate a scenario file."""

from __future__ import annotations

from pathlib import Path

import click

from tierlab.simulator.cli import options


@click.command(
    epilog="""\b
Examples:
  tierlab run scenario.toml
  tierlab run scenario.toml --set engine.max_num_seqs=64 --set model.weights=fp8
  tierlab run scenario.toml --json -o out/run1
  tierlab run scenario.toml --bands
  tierlab run scenario.toml --timeline run.json.gz --timeline-window 10s:20s
  tierlab run requests.toml --from-vllm engine.yaml
  tierlab run requests.toml --from-vllm "vllm serve Qwen/Qwen3-32B -tp 2 --max-num-seqs 128"
""",
)
@click.argument("scenario", required=False, type=click.Path(path_type=Path))
@click.option(
    "--from-vllm",
    metavar="CONFIG",
    help="vLLM's engine arguments (JSON, YAML, or a command line) in place of SCENARIO's model, "
    "engine and design; SCENARIO or --set say the hardware and the workload.",
)
@options.simulation
def run(
    scenario: Path | None,
    from_vllm: str | None,
    settings: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    timeline: str | None,
    timeline_window: str | None,
    bands: bool,
) -> None:
    """Simulate SCENARIO, a TOML file, and print what requests experienced and what it cost."""
    from tierlab.kernels.base.errors import BadInput
    from tierlab.simulator.cli.simulate import simulate_and_print
    from tierlab.simulator.scenario.load import load_scenario

    if from_vllm is not None:
        from tierlab.simulator.fromvllm.scenario import scenario_from_vllm

        made, notes = scenario_from_vllm(from_vllm, scenario, settings)
        for note in notes:
            click.echo(note, err=True)
    elif scenario is None:
        raise BadInput("tierlab run", "no SCENARIO", "a TOML file, or --from-vllm CONFIG")
    else:
        made = load_scenario(scenario, settings)
    simulate_and_print(made, output, as_json, bands, (timeline, timeline_window))
