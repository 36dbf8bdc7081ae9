"""Schedules as a table of shapes names them: ``framework = "schedule"``, ``kernel`` its name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.schedules.registry import SCHEDULES, SPATIAL
from tierlab.hwmodels.time.schedules.rows import refusal, times_of
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.times import Times
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold, near
from tierlab.kernels.ops.table import OpTable

FRAMEWORK = "schedule"
ARRAY = "FuseMax's array, 256 x 256 at 940 MHz, 400 GiB/s"
"""What the schedules of a spatial array run on, whatever the row's device."""


def asked(
    kernel: object, ops: OpTable, rows: NDArray[np.int64], machine: Machine, where: str
) -> tuple[Times, str]:
    """Return the times of rows that name a schedule, and what answered.

    Parameters
    ----------
    kernel
        The schedule's name; None where none is given.
    ops, rows
        All rows of the table, and which of them.
    where
        The table, for errors.

    Raises
    ------
    BadInput
        There is no such schedule, or it cannot say one of the rows.
    """
    first = f"{where}: row {rows[0] + 1}"
    if kernel is None:
        raise BadInput(first, f"framework {FRAMEWORK!r} needs a kernel", ", ".join(SCHEDULES))
    named = {fold(name): name for name in SCHEDULES}.get(fold(str(kernel)))
    if named is None:
        raise BadInput(first, f"unknown schedule {str(kernel)!r}", near(str(kernel), SCHEDULES))
    mine = ops.take(rows)
    if refused := refusal(named, mine, machine):
        place = f"{where}: row {rows[refused.row] + 1}"
        raise BadInput(place, refused.what, refused.accepted)
    on = f" ({ARRAY})" if named in SPATIAL else ""
    return times_of(named, mine, machine), f"{FRAMEWORK} {named}{on}"
