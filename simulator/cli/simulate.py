"""What ``run`` and ``replay`` do once they have a scenario."""

from __future__ import annotations

from contextlib import nullcontext
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
from tierlab.simulator.serving.watch import Watch
from tierlab.simulator.timeline.option import IN_RUN, open_timeline
from tierlab.simulator.timeline.timeline import Timeline
from tierlab.simulator.workload import records

ENDS = ("p10", "p90")


def run_scenario(
    scenario: Scenario, bands: bool, watch: Watch | None = None
) -> tuple[Run, dict[str, Any]]:
    """Simulate with progress; with `bands` also at both ends of the time model's band.

    At an end every prediction errs the same way at once, so the band is the widest there is.
    """
    with progress("simulating", "requests") as report:
        run = simulate(scenario, report, watch)
    summary = summarise(run) | records(scenario.workload)
    if bands:
        summary["bands"] = {end: summarise(simulate(_at(scenario, end))) for end in ENDS}
        for figures in summary["bands"].values():
            figures.pop("wall_s")
    return run, summary


def _at(scenario: Scenario, end: str) -> Scenario:
    return scenario.model_copy(update={"time": scenario.time.model_copy(update={"band": end})})


def simulate_and_print(
    scenario: Scenario,
    output: Path | None,
    as_json: bool,
    bands: bool,
    timeline: tuple[str | None, str | None] = (None, None),
) -> None:
    """Simulate, write the run directory, and print a table or one JSON object.

    Parameters
    ----------
    timeline
        What ``--timeline`` and ``--timeline-window`` say.
    """
    if output is not None:
        check_target(output)
    with open_timeline(*timeline, output) or nullcontext() as made:
        run, summary = run_scenario(scenario, bands, made)
        _write(run, summary, output, made)
    if as_json:
        click.echo(dump_json(summary))
    else:
        print_summary(run, summary)
        if output is not None:
            click.echo(f"wrote {output}", err=True)
    if made is not None and made.sink.published:
        click.echo(f"wrote {made.sink.path}", err=True)


def _write(
    run: Run, summary: dict[str, Any], output: Path | None, timeline: Timeline | None
) -> None:
    """Write the run directory, and the timeline into it or where it belongs."""
    scratch = None if timeline is None else timeline.finish(run)
    inside = {IN_RUN: scratch} if timeline and scratch and timeline.in_run else {}
    if output is not None:
        write_run(run, summary, output, moved=inside)
    if timeline is not None and not inside:
        timeline.publish()
