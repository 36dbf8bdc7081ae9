"""Run a sweep: check every point, run those that are not there yet, keep each as it comes."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.choosing.objective import check_asked
from tierlab.simulator.comparison.simulated import read_table
from tierlab.simulator.results.inputs import input_files
from tierlab.simulator.results.manifest import LIBRARIES, sha256
from tierlab.simulator.results.provenance import provenance
from tierlab.simulator.sweep.execute import rows_of
from tierlab.simulator.sweep.frame import key_columns
from tierlab.simulator.sweep.points import Point, check_points, data_of, points_of
from tierlab.simulator.sweep.read import Sweep
from tierlab.simulator.sweep.store import POINTS, Store, finished, opened
from tierlab.simulator.sweep.work import OK, Task, failed

if TYPE_CHECKING:
    import polars as pl

    from tierlab.simulator.scenario.schema import Scenario
    from tierlab.simulator.serving.build import Parts

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Swept:
    """A finished sweep.

    Attributes
    ----------
    points
        One row a point: `point`, the keys that vary, `status`, `error`, the figures.
    ran
        How many points ran now; the others were there.
    """

    sweep: Sweep
    points: pl.DataFrame
    ran: int

    @property
    def failed(self) -> int:
        """How many points failed."""
        return int((self.points["status"] != OK).sum())


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a sweep; what was done is kept where there is a folder.

    Parameters
    ----------
    folder
        Where ``--resume`` finds it; None: nothing was kept.
    """

    def __init__(self, folder: Path | None, done: int, total: int) -> None:
        self.folder, self.done, self.total = folder, done, total
        super().__init__(f"{done} of {total} points are done")


def run_sweep(
    sweep: Sweep,
    folder: Path | None = None,
    *,
    jobs: int = 1,
    ray: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    ready: Callable[[int], None] | None = None,
) -> Swept:
    """Run what is missing of a sweep.

    Parameters
    ----------
    folder
        Where results are kept as they come; None: nowhere.
    jobs, ray
        As `tierlab.simulator.sweep.execute.rows_of`.
    progress
        Called with the points that have run now, and the number of those to run.
    ready
        Called with the points to run, once all that concerns every point is checked.

    Raises
    ------
    BadInput
        A value that no point can use, a scenario that no point can build, a log that cannot be
        read, a folder that cannot be used. Whatever concerns single points fails these alone.
    Interrupted
        Ctrl-C.
    """
    points = list(points_of(sweep))
    checked = check_points(sweep, points)
    keys = key_columns(sweep.keys, [point.values for point in points])
    inputs = _inputs(sweep, [each for each in checked if not isinstance(each, BadInput)])
    known = _probe(sweep, checked)
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sweep"
        stack.enter_context(opened(place, asked(sweep, inputs), resume))
        if finished(place):
            return Swept(sweep, read_table(place, POINTS, "another folder"), 0)
        store = Store(place)
        there = store.done
        left = _refused(store, points, checked, there)
        if ready is not None:
            ready(len(left))
        try:
            _run(sweep, left, store, jobs, ray, progress)
        except KeyboardInterrupt:
            raise Interrupted(folder, len(store.done), sweep.size) from None
        frame = store.finish(keys, manifest(sweep, inputs) | {"provenance": known})
        return Swept(sweep, frame, len(points) - len(there))


def _refused(
    store: Store,
    points: Sequence[Point],
    checked: Sequence[Scenario | BadInput],
    there: set[int],
) -> list[Point]:
    """Keep the points that the schema refuses as failed; return those to run."""
    todo = [(p, c) for p, c in zip(points, checked, strict=True) if p.index not in there]
    bad = [failed(p.index, c.line()) for p, c in todo if isinstance(c, BadInput)]
    if bad:
        store.add(bad)
    return [p for p, c in todo if not isinstance(c, BadInput)]


def _run(
    sweep: Sweep,
    left: Sequence[Point],
    store: Store,
    jobs: int,
    ray: str | None,
    progress: Progress | None,
) -> None:
    tasks = [Task(p.index, *data_of(sweep, p), sweep.max_rate) for p in left]
    count, looked = 0, False
    for rows in rows_of(tasks, min(jobs, max(1, len(tasks))), ray):
        store.add(rows)
        for row in rows:
            if not looked and row["status"] == OK:
                check_asked(sweep.objectives, sweep.where, {*row, *sweep.keys})
                looked = True
        count += len(rows)
        if progress is not None:
            progress(count, len(left))


def _probe(sweep: Sweep, checked: Sequence[Scenario | BadInput]) -> dict[str, Any]:
    """Refuse a sweep of which no point can be built, or the log not read, before anything runs.

    Return where the numbers of the first point that can be built come from.
    """
    first: BadInput | None = None
    for found in checked:
        if isinstance(found, BadInput):
            continue
        try:
            return provenance(_prepare(found, sweep))
        except BadInput as error:
            first = first or error
    if first is not None:
        raise BadInput(sweep.name, f"no point can run; the first: {first.line()}")
    return {}


def _prepare(scenario: Scenario, sweep: Sweep) -> Parts:
    """Build what a point names and read its log; in this process, points find it in memory."""
    from tierlab.simulator.choosing.maxrate import at_multiple, check_level
    from tierlab.simulator.serving.build import build
    from tierlab.simulator.workload import keep_logs, load_workload

    keep_logs()
    parts = build(scenario)
    if sweep.max_rate is not None:
        check_level(scenario, sweep.max_rate)
        at_multiple(scenario, 1.0)
    if sweep.plan is None:
        load_workload(scenario.workload, scenario.seed)
    return parts


def _inputs(sweep: Sweep, scenarios: Sequence[Scenario]) -> dict[str, str]:
    """Return the hash of every file that some point names."""
    named: dict[Path, None] = {}
    for s in scenarios:
        named |= dict.fromkeys(input_files(s).values())
        if s.workload.trace and sweep.plan is None:
            named[Path(s.workload.trace)] = None
    return {str(path): sha256(path) for path in named if path.is_file()}


def asked(sweep: Sweep, inputs: dict[str, str]) -> dict[str, Any]:
    """Return what decides the figures of a sweep, as plain data."""
    return {
        "tierlab": importlib.metadata.version("tierlab"),
        "scenario": sweep.base,
        "plan": sweep.plan,
        "axes": [{"kind": axis.kind, "keys": axis.keys, "rows": axis.rows} for axis in sweep.axes],
        "max_rate": None if sweep.max_rate is None else asdict(sweep.max_rate),
        "inputs": inputs,
    }


def manifest(sweep: Sweep, inputs: dict[str, str]) -> dict[str, Any]:
    """Return what the manifest holds: what was asked, and by which libraries it was answered."""
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "kind": "sweep",
        "title": sweep.title,
        "points": sweep.size,
        **asked(sweep, inputs),
        "libraries": versions,
        "objective": list(sweep.objectives),
        "where": [bound.text for bound in sweep.where],
    }
