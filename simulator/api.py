"""tierlab from Python: the commands as functions that return Polars frames.

A scenario is a path of a TOML file, a table as such a file would hold it, or a `Scenario`.

>>> from tierlab.simulator import api
>>> api.plan({"model": "Llama-3.1-8B", "hardware": "H100"}, context=8192)["largest_batch"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.load import (
    apply_settings,
    load_scenario,
    parse_setting,
    validate,
)
from tierlab.simulator.scenario.schema import Scenario

if TYPE_CHECKING:
    from tierlab.simulator.choosing.choose import Choice
    from tierlab.traces.schema import Trace

AnyScenario = Scenario | Mapping[str, Any] | str | Path


@dataclass(frozen=True, eq=False)
class Result:
    """A run as frames.

    Attributes
    ----------
    summary
        One row: the figures of the run under the names that a sweep's points have.
    requests, steps
        As ``requests.parquet`` and ``steps.parquet`` of a run directory.
    """

    summary: pl.DataFrame
    requests: pl.DataFrame
    steps: pl.DataFrame


def scenario(of: AnyScenario, settings: Sequence[str] = ()) -> Scenario:
    """Return a validated scenario; `settings` are ``key=value``, as ``--set`` takes them.

    Raises
    ------
    BadInput
        A file that cannot be read, or the first key that the schema refuses.
    """
    if isinstance(of, str | Path):
        return load_scenario(Path(of), settings)
    if isinstance(of, Scenario):
        if not settings:
            return of
        data = of.model_dump(exclude_unset=True)
    else:
        from tierlab.simulator.sweep.read import copied

        data = copied(dict(of))
    apply_settings(data, settings)
    return validate(data, "scenario")


def run(of: AnyScenario, settings: Sequence[str] = (), output: str | Path | None = None) -> Result:
    """Simulate a scenario, as ``tierlab run`` does.

    Parameters
    ----------
    output
        A run directory to write; None: none.

    Raises
    ------
    BadInput
        As `scenario`; or the scenario cannot work.
    """
    from tierlab.simulator.metrics.summary import summarise
    from tierlab.simulator.results.tables import requests_frame, steps_frame
    from tierlab.simulator.results.write import write_run
    from tierlab.simulator.serving.run import simulate
    from tierlab.simulator.sweep.figures import run_figures

    done = simulate(scenario(of, settings))
    summary = summarise(done)
    if output is not None:
        write_run(done, summary, Path(output))
    return Result(pl.DataFrame([run_figures(summary)]), requests_frame(done), steps_frame(done))


def replay(
    trace: str | Path,
    model: str,
    hardware: str,
    design: str | None = None,
    settings: Sequence[str] = (),
    *,
    format: str | None = None,
    columns: Sequence[str] = (),
) -> Result:
    """Simulate a request log, as ``tierlab replay`` does.

    Parameters
    ----------
    columns
        ``ours=theirs`` for the columns of a generic log.

    Raises
    ------
    BadInput
        As `run`.
    """
    workload: dict[str, Any] = {"trace": str(trace)}
    if format is not None:
        workload["format"] = format
    if columns:
        workload["columns"] = {k[0]: str(v) for k, v in map(parse_setting, columns)}
    data: dict[str, Any] = {"model": model, "hardware": hardware, "workload": workload}
    return run(data if design is None else data | {"design": design}, settings)


def plan(
    of: AnyScenario, context: int, batch: int | None = None, settings: Sequence[str] = ()
) -> pl.DataFrame:
    """Return one row: what fits and how fast it can be, as ``tierlab plan`` says it.

    The scenario needs no workload.

    Raises
    ------
    BadInput
        As `scenario`; or the context is longer than the model's, or the model does not fit.
    """
    from tierlab.simulator.planning import plan as make_plan
    from tierlab.simulator.sweep.figures import plan_figures

    if isinstance(of, Mapping):
        of = {"workload": {"generator": "poisson"}, **of}
    made = make_plan(scenario(of, settings), context, batch)
    named = {key: made[key] for key in ("model", "hardware", "design")}
    return pl.DataFrame([named | plan_figures(made)])


def sweep(
    of: Mapping[str, Any] | str | Path,
    output: str | Path | None = None,
    *,
    jobs: int = 1,
    ray: str | None = None,
    resume: bool = False,
) -> pl.DataFrame:
    """Return one row a point, as ``tierlab sweep`` writes them.

    Parameters
    ----------
    of
        The path of a sweep file, or what it would hold.
    output, jobs, ray, resume
        As the command's options.

    Raises
    ------
    BadInput
        As `tierlab.simulator.sweep.run.run_sweep`.
    """
    from tierlab.simulator.sweep.read import make_sweep, read_sweep
    from tierlab.simulator.sweep.run import run_sweep

    asked = make_sweep(of) if isinstance(of, Mapping) else read_sweep(Path(of))
    folder = None if output is None else Path(output)
    return run_sweep(asked, folder, jobs=jobs, ray=ray, resume=resume).points


def choose(
    points: pl.DataFrame | str | Path,
    objective: str | Sequence[str] = (),
    where: str | Sequence[str] = (),
) -> Choice:
    """Choose among the points of a sweep, as ``tierlab choose`` does.

    Parameters
    ----------
    points
        What `sweep` returned, or the folder that it wrote.

    Raises
    ------
    BadInput
        A figure that no point has; a folder without a finished sweep.
    """
    from tierlab.simulator.choosing.choose import choose as make_choice
    from tierlab.simulator.choosing.choose import keys_of, load_points
    from tierlab.simulator.choosing.objective import parse_where

    if isinstance(points, pl.DataFrame):
        names = points.columns
        if not {"point", "status", "error"} <= set(names):
            raise BadInput("points", "no points of a sweep", "what api.sweep returned")
        keys = tuple(names[1 : names.index("status")])
    else:
        points, manifest = load_points(Path(points))
        keys = keys_of(manifest)
    bounds = [parse_where(text, "where") for text in _listed(where)]
    return make_choice(points, keys, _listed(objective), bounds)


def _listed(text: str | Sequence[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def requests(
    trace: str | Path, format: str | None = None, columns: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Return the requests of a log, one row each, with the columns of `ROW_COLUMNS` and ids.

    Raises
    ------
    BadInput
        The log cannot be read.
    """
    return _read(trace, format, columns).to_frame()


def _read(
    trace: str | Path, format: str | None, columns: Mapping[str, str] | None, jitter: bool = True
) -> Trace:
    from tierlab.traces.read import read_trace

    return read_trace(str(trace), format, columns=columns, jitter=jitter)


def trace_stats(
    trace: str | Path, format: str | None = None, columns: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Return one row: what a log holds, as ``tierlab trace stats --json`` says it, flat.

    Raises
    ------
    BadInput
        The log cannot be read.
    """
    from tierlab.simulator.sweep.figures import flat
    from tierlab.traces.statistics.summary import measure, summary

    log = _read(trace, format, columns, jitter=False)
    return pl.DataFrame([dict(flat(summary(measure(log, None, log.arrival_s))))])


def mrc(
    trace: str | Path,
    policies: Sequence[str],
    capacities_blocks: Sequence[int],
    *,
    prefix: bool = True,
    format: str | None = None,
) -> pl.DataFrame:
    """Return one row a policy and capacity: `policy`, `capacity_blocks`, `hit_ratio`.

    As ``tierlab trace mrc`` counts them.

    Raises
    ------
    BadInput
        The log has no block ids, or a policy does not exist.
    """
    from tierlab.simulator.curves.count import curves

    found = curves(_read(trace, format, None), policies, capacities_blocks, prefix=prefix)
    rows = [(c.policy, capacity, ratio) for c in found for capacity, ratio in c.points]
    return pl.DataFrame(rows, schema=["policy", "capacity_blocks", "hit_ratio"], orient="row")
