"""Times that hold a second operation, taken apart by what that one takes alone."""

from __future__ import annotations

from dataclasses import replace

from tierlab.hwmodels.time.silicon.fitted import Fitted
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.measured import Measured

LEAST = 0.1
"""Share of a time under which what is left says more of the other's error than of the kernel."""


def apart(measured: Measured, other: Fitted, machine: Machine) -> Measured:
    """Return the measurements without the operation that ran beside.

    Parameters
    ----------
    measured
        With a `Measured.beside`.
    other
        The model of that operation, as predictions will use it: both together are the measured
        time, however the other's error divides it.
    machine
        The device.

    Returns
    -------
    Measured
        Of the rows that leave `LEAST` of their time or more.
    """
    if measured.beside is None:
        return measured
    left = measured.seconds - other.predict(measured.beside.ops, machine, bands=False).seconds
    alone = replace(measured, seconds=left, beside=None)
    return alone.take(left >= LEAST * measured.seconds)
