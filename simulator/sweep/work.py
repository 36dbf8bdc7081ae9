"""What a worker does with points; it is handed plain data and keeps what points share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.errors import BadInput, BrokenLaw
from tierlab.simulator.choosing.maxrate import MaxRate, seek
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.sweep.figures import VOLATILE, Row, plan_figures, run_figures

if TYPE_CHECKING:
    from tierlab.simulator.scenario.schema import Scenario

OK, FAILED = "ok", "failed"


@dataclass(frozen=True)
class Task:
    """One point for a worker: all that it needs, as plain data."""

    index: int
    scenario: dict[str, Any]
    plan: dict[str, Any] | None
    max_rate: MaxRate | None


def work(tasks: Sequence[Task]) -> list[Row]:
    """Return a row for each task; a failure is a row too.

    A row has `point`, `status`, `error`, what is `VOLATILE` and, where it went well, the figures.
    """
    from tierlab.simulator.workload import keep_logs

    keep_logs()
    return [_row(task) for task in tasks]


def failed(index: int, error: str) -> Row:
    """Return the row of a point that has no figures."""
    times = dict.fromkeys(VOLATILE, 0.0)
    return {"point": index, "status": FAILED, "error": error, **times}


def _row(task: Task) -> Row:
    """Run one point, timed."""
    began = time.perf_counter(), time.process_time()
    row = _tried(task)
    ended = time.perf_counter(), time.process_time()
    return row | {name: b - a for name, a, b in zip(VOLATILE, began, ended, strict=True)}


def _tried(task: Task) -> Row:
    """Run one point. Any error is its own; the sweep goes on."""
    try:
        return {"point": task.index, "status": OK, "error": None} | _figures(task)
    except BadInput as error:
        return failed(task.index, error.line())
    except BrokenLaw as error:
        return failed(task.index, f"a conservation law broke, a defect in tierlab: {error}")
    except Exception as error:  # a sweep of hours outlives a defect that one point meets
        return failed(task.index, f"{type(error).__name__}, a defect in tierlab: {error}")


def _figures(task: Task) -> Row:
    scenario = validate(task.scenario, "scenario")
    if task.plan is not None:
        from tierlab.simulator.planning import plan

        return plan_figures(plan(scenario, task.plan["context"], task.plan.get("batch")))
    if task.max_rate is None:
        return simulated(scenario)
    return seek(scenario, task.max_rate, simulated)


def simulated(scenario: Scenario) -> Row:
    """Return the figures of one simulation.

    Raises
    ------
    BadInput
        As `tierlab.simulator.serving.run.simulate`.
    """
    from tierlab.simulator.metrics.summary import summarise
    from tierlab.simulator.serving.run import simulate

    return run_figures(summarise(simulate(scenario)))
