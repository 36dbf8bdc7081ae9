"""What ``run`` and ``replay`` do once they have a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tierlab.simulator.cli.progress import progress
from tierlab.simulator.cli.summary_table import print_summary
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.results.folder import check_target
from tierlab.simulator.results.manifest import dump_json
from tierlab.simulator.results.write import write_run
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.run import Run, simulate
from tierlab.simulator.workload import records

BANDED = ("ttft_s", "tpot_s", "itl_s", "e2e_s", "queue_s")
ENDS = ("p10", "p90")


def run_scenario(scenario: Scenario, bands: bool) -> tuple[Run, dict[str, Any]]:
    """Simulate with progress; with `bands` also at both ends of the time model's band.

    At an end every prediction errs the same way at once, so the band is the widest there is.
    """
    with progress("simulating", "requests") as report:
        run = simulate(scenario, report)
    summary = summarise(run) | records(scenario.workload)
    if bands:
        summary["bands"] = {end: summarise(simulate(_at(scenario, end))) for end in ENDS}
        for figures in summary["bands"].values():
            figures.pop("wall_s")
    return run, summary


def _at(scenario: Scenario, end: str) -> Scenario:
    return scenario.model_copy(update={"time": scenario.time.model_copy(update={"band": end})})


def simulate_and_print(scenario: Scenario, output: Path | None, as_json: bool, bands: bool) -> None:
    """Simulate, write the run directory, and print a table or one JSON object."""
    if output is not None:
        check_target(output)
    run, summary = run_scenario(scenario, bands)
    if output is not None:
        write_run(run, summary, output)
    if as_json:
        click.echo(dump_json(summary))
    else:
        print_summary(run, summary)
        if output is not None:
            click.echo(f"wrote {output}", err=True)
