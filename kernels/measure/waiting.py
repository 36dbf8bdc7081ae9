"""How long this process's threads stood ready to run while others had the processors.

Linux counts it for each thread: the second field of ``schedstat``, in ns (kernel documentation,
scheduler/sched-stats). What a hypervisor takes away is not in it.
"""

from __future__ import annotations

import os

TASKS = "/proc/self/task"


def waited_s() -> float:
    """Return the time that all threads have waited so far, s; 0 where the system does not tell."""
    try:
        tasks = os.listdir(TASKS)
    except OSError:
        return 0.0
    return sum(_waited_ns(task) for task in tasks) * 1e-9


def _waited_ns(task: str) -> int:
    try:
        with open(f"{TASKS}/{task}/schedstat", "rb") as file:
            return int(file.read().split()[1])
    except (OSError, IndexError, ValueError):  # a thread that has ended, or a kernel without it
        return 0
