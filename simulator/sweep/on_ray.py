"""Calls of one function on a Ray cluster; a worker that dies costs its call alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import islice
from typing import Any, TypeVar

from tierlab.kernels.base.errors import BadInput

Given = TypeVar("Given")
Got = TypeVar("Got")

AHEAD = 2
"""Calls handed over for each core of the cluster, so that none waits for this process."""
DIED = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError")
"""What `ray.get` raises of a worker that is gone, alone, with its node, or killed for memory."""


def results(
    ray: Any, work: Callable[[Given], Got], calls: Iterable[Given]
) -> Iterator[tuple[Given, Got | None]]:
    """Yield each call's argument and result as it is done; None where its worker died."""
    died = tuple(getattr(ray.exceptions, name) for name in DIED)
    remote = ray.remote(num_cpus=1, max_retries=0)(work)
    width = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    left = iter(calls)
    under_way = {remote.remote(given): given for given in islice(left, width)}
    while under_way:
        (done,), _ = ray.wait(list(under_way))
        given = under_way.pop(done)
        under_way |= {remote.remote(more): more for more in islice(left, 1)}
        try:
            yield given, ray.get(done)
        except died:
            yield given, None


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster, where this process is not yet, and hand over the module `ray`.

    What Ray has to say goes to the error stream: it writes to the other one, whose JSON is read.

    Raises
    ------
    BadInput
        Ray is not installed, or nothing answers at the address.
    """
    try:
        import ray
    except ImportError:
        raise BadInput("--ray", "Ray is not installed", "pip install 'tierlab[ray]'") from None
    ours = not ray.is_initialized()
    with redirect_stdout(sys.stderr):
        try:
            if ours:
                ray.init(address=address, log_to_driver=False, logging_level=40)
        except (ConnectionError, ValueError, RuntimeError) as error:
            why = str(error).split("\n", 1)[0]
            accepted = "host:port, ray://host:port, auto, or local to start one here"
            raise BadInput("--ray", f"no cluster at {address}: {why}", accepted) from None
        try:
            yield ray
        finally:
            if ours:
                ray.shutdown()
