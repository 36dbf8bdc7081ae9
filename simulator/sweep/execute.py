"""Points side by side: in this process, on local cores, or on a Ray cluster (`on_ray.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tierlab.simulator.sweep.figures import Row
from tierlab.simulator.sweep.work import Task, failed, work

PLANS_AT_ONCE = 100
"""Planned points in one call of a worker, which take about a second together."""
DIED = "the worker process died; perhaps out of memory"


def batches(tasks: Sequence[Task]) -> list[Sequence[Task]]:
    """Return what one call of a worker takes: one simulation, or some plans."""
    size = PLANS_AT_ONCE if tasks and tasks[0].plan is not None else 1
    return [tasks[i : i + size] for i in range(0, len(tasks), size)]


def rows_of(tasks: Sequence[Task], jobs: int, ray: str | None = None) -> Iterator[list[Row]]:
    """Yield the rows of each batch as it is done, in any order.

    Parameters
    ----------
    jobs
        Processes on this machine; 1: this one.
    ray
        Address of a Ray cluster, in place of them.

    Raises
    ------
    BadInput
        Ray is not installed, or nothing answers at the address.
    """
    if ray is not None:
        yield from _on_ray(tasks, ray)
    elif jobs == 1:
        yield from map(work, batches(tasks))
    else:
        with _local():
            yield from _surviving(tasks, jobs)


def _parallel(todo: Sequence[Sequence[Task]], jobs: int) -> Iterator[list[Row]]:
    import joblib

    each = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    yield from each(joblib.delayed(work)(batch) for batch in todo)


def _local() -> AbstractContextManager[Any]:
    import joblib

    context: AbstractContextManager[Any] = joblib.parallel_config(
        backend="loky", inner_max_num_threads=1
    )
    return context


def _surviving(tasks: Sequence[Task], jobs: int) -> Iterator[list[Row]]:
    """Yield rows; where a worker dies, the points that it may have died of run one by one."""
    from joblib.externals.loky.process_executor import BrokenProcessPool

    left = {task.index: task for task in tasks}
    while left:
        try:
            for rows in _parallel(batches(list(left.values())), jobs):
                for row in rows:
                    del left[row["point"]]
                yield rows
        except BrokenProcessPool:
            suspects = list(left.values())[: 3 * jobs]
            left = {index: task for index, task in left.items() if task not in suspects}
            yield from _alone(suspects)


def _alone(tasks: Sequence[Task]) -> Iterator[list[Row]]:
    """Run points one by one in a process whose death is the point's; then comes the next."""
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import BrokenProcessPool

    pool = ProcessPoolExecutor(max_workers=1)
    for task in tasks:
        try:
            yield pool.submit(work, [task]).result()
        except BrokenProcessPool:
            pool.shutdown(wait=False)
            pool = ProcessPoolExecutor(max_workers=1)
            yield [failed(task.index, DIED)]
    pool.shutdown()


def _on_ray(tasks: Sequence[Task], address: str) -> Iterator[list[Row]]:
    """Yield rows; points whose worker died, as of a node that is lost, run once more, singly."""
    from tierlab.simulator.sweep.on_ray import connected, results

    again: list[Task] = []
    with connected(address) as ray:
        for batch, rows in results(ray, work, batches(tasks)):
            if rows is None:
                again += batch
            else:
                yield rows
        for (task,), rows in results(ray, work, [(task,) for task in again]):
            yield rows or [failed(task.index, DIED)]
