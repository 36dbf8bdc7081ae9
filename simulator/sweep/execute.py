"""Points side by side: in this process, on local cores, or on a Ray cluster, all by joblib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tierlab.kernels.base.errors import BadInput
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
        with _ray(ray):
            yield from _parallel(batches(tasks), -1)
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


def _ray(address: str) -> AbstractContextManager[Any]:
    """Return joblib's context in which work goes to a Ray cluster."""
    import joblib

    try:
        import ray
        from ray.util.joblib.ray_backend import RayBackend
    except ImportError:
        raise BadInput("--ray", "Ray is not installed", "pip install 'tierlab[ray]'") from None

    class Streaming(RayBackend):
        """Ray's backend, giving results as they come.

        joblib asks that of no pool of processes, since killing one can hang; Ray's actors are
        not killed that way.
        """

        supports_return_generator = True

    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level=40)
    except (ConnectionError, ValueError, RuntimeError) as error:
        why = str(error).split("\n", 1)[0]
        accepted = "host:port, ray://host:port, auto, or local to start one here"
        raise BadInput("--ray", f"no cluster at {address}: {why}", accepted) from None
    joblib.register_parallel_backend("tierlab-ray", Streaming)
    context: AbstractContextManager[Any] = joblib.parallel_config(backend="tierlab-ray")
    return context
