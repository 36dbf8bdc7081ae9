"""``tierlab sweep`` and ``tierlab choose``: many points, and which of them are worth having."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.cli import options

if TYPE_CHECKING:
    from tierlab.simulator.choosing.objective import Where
    from tierlab.simulator.sweep.read import Sweep
    from tierlab.simulator.sweep.run import Swept

objective = click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="FIGURE",
    help="cost, ttft, tpot, e2e, goodput, throughput, energy, capacity, hits, or a figure of the "
    "points, after min: or max: where it is not clear. Repeatable: the Pareto set is of all.",
)
bound = click.option(
    "--where",
    "bounds",
    multiple=True,
    metavar='"FIGURE<=X"',
    help="What a point has to meet, SI units, e.g. ttft_p99_s<=2. Repeatable.",
)


@click.command(
    epilog="""\b
Examples:
  tierlab sweep sweep.toml -o out/sweep --jobs 2 --objective cost --where "ttft_p99_s<=2"
  tierlab sweep sweep.toml -o out/sweep --resume
  tierlab sweep sweep.toml -o out/rates --max-rate --where "ttft_p99_s<=2" --objective capacity
  tierlab sweep sweep.toml -o out/sweep --ray 10.0.0.1:6379
""",
)
@click.argument("sweep", metavar="SWEEP", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the points here as they come; what --resume goes on with.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes on this machine; 1 when absent."
)
@click.option("--ray", metavar="ADDRESS", help="Run on this Ray cluster: host:port, auto, local.")
@click.option("--resume", is_flag=True, help="Run only the points that DIR lacks.")
@objective
@bound
@click.option(
    "--max-rate", is_flag=True, help="Seek each point's highest arrival rate that meets --where."
)
@options.settings
@options.as_json
def sweep(
    sweep: Path,
    output: Path | None,
    jobs: int | None,
    ray: str | None,
    resume: bool,
    objectives: tuple[str, ...],
    bounds: tuple[str, ...],
    max_rate: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run every point that SWEEP, a TOML file, spans, and say which are worth having."""
    from tierlab.simulator.choosing.objective import parse_where
    from tierlab.simulator.sweep.read import read_sweep

    if jobs is not None and ray is not None:
        raise BadInput("--jobs", "with --ray the cluster says how many", "one of the two")
    if resume and output is None:
        raise BadInput("--resume", "no folder to go on with", "-o DIR")
    where = tuple(parse_where(text) for text in bounds)
    asked = _asked(read_sweep(sweep, settings), objectives, where, max_rate)
    _told(_run(asked, output, jobs or 1, ray, resume), output, as_json)


def _asked(
    found: Sweep, objectives: tuple[str, ...], where: tuple[Where, ...], max_rate: bool
) -> Sweep:
    """Lay the options over what the file asks for."""
    from tierlab.simulator.choosing.maxrate import MaxRate, with_where

    search = found.max_rate or (MaxRate(found.where) if max_rate else None)
    if search is not None and found.plan is not None:
        raise BadInput("--max-rate", "plans have no rate", "a sweep without [plan]")
    return replace(
        found,
        objectives=objectives or found.objectives,
        where=where or found.where,
        max_rate=with_where(search, where),
    )


def _announce(asked: Sweep, left: int) -> None:
    axes = " x ".join(f"{len(axis)} {' + '.join(axis.keys)}" for axis in asked.axes)
    there = f", {left:,} to run" if left < asked.size else ""
    click.echo(f"{axes} = {asked.size:,} points{there}", err=True)


def _run(asked: Sweep, output: Path | None, jobs: int, ray: str | None, resume: bool) -> Swept:
    from tierlab.simulator.cli.progress import progress
    from tierlab.simulator.sweep.run import Interrupted, run_sweep

    try:
        with progress("sweeping", "points") as report:
            return run_sweep(
                asked,
                output,
                jobs=jobs,
                ray=ray,
                resume=resume,
                progress=report,
                ready=lambda left: _announce(asked, left),
            )
    except Interrupted as stop:
        kept = f"--resume -o {stop.folder} goes on" if stop.folder else "nothing was kept: no -o"
        click.echo(f"tierlab: interrupted; {stop}; {kept}", err=True)
        raise click.exceptions.Exit(130) from None


def _told(swept: Swept, output: Path | None, as_json: bool) -> None:
    """Print the choice among the points; exit 1 where every point failed."""
    if swept.failed == len(swept.points):
        first = swept.points["error"][0]
        click.echo(f"tierlab: every point failed; the first: {first}", err=True)
        raise click.exceptions.Exit(1)
    asked = swept.sweep
    _choose_and_print(swept.points, asked.keys, asked.objectives, asked.where, output, as_json)
    if output is not None and not as_json:
        done = f"{swept.ran:,} points ran, {len(swept.points) - swept.ran:,} were there"
        click.echo(f"wrote {output}: {done}", err=True)


def _choose_and_print(
    points: Any,
    keys: tuple[str, ...],
    objectives: tuple[str, ...],
    where: tuple[Where, ...],
    output: Path | None,
    as_json: bool,
) -> None:
    from tierlab.simulator.choosing.choose import choose as make_choice
    from tierlab.simulator.choosing.choose import to_json
    from tierlab.simulator.choosing.write import write_choice
    from tierlab.simulator.cli.choice_tables import counts, print_choice
    from tierlab.simulator.results.manifest import dump_json

    choice = make_choice(points, keys, objectives, where)
    told = counts(points) | to_json(choice)
    if output is not None:
        write_choice(choice, told, output)
    if as_json:
        click.echo(dump_json(told))
    else:
        print_choice(choice, told)


@click.command(
    epilog="""\b
Examples:
  tierlab choose out/sweep --objective cost --objective ttft
  tierlab choose out/sweep --objective energy --where "ttft_p99_s<=2" --where "hit_ratio>=0.5"
  tierlab choose out/sweep --objective max:tokens.reused.dram --json
""",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@objective
@bound
@options.as_json
def choose(
    folder: Path, objectives: tuple[str, ...], bounds: tuple[str, ...], as_json: bool
) -> None:
    """Choose again among the points of a finished sweep in DIR; nothing runs."""
    from tierlab.simulator.choosing.choose import keys_of, load_points
    from tierlab.simulator.choosing.objective import parse_where

    points, manifest = load_points(folder)
    texts = bounds or tuple(manifest["where"])
    where = tuple(parse_where(text) for text in texts)
    asked = objectives or tuple(manifest["objective"])
    _choose_and_print(points, keys_of(manifest), asked, where, folder, as_json)
