"""Kernels that only their name tells, and that have a model of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tierlab.hwmodels.time.silicon import decode, prefill
from tierlab.hwmodels.time.silicon.kernel import Features, Floats, Kernel, Parameter, Values
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.uneven import longest
from tierlab.kernels.ops.table import OPS, OpTable


def anywhere(ops: OpTable, machine: Machine) -> bool:
    """Say that a model holds for all shapes on all GPUs."""
    return True


@dataclass(frozen=True)
class Named:
    """Models of kernels that a word in their name tells.

    Attributes
    ----------
    mark
        The word.
    models
        One for each operation.
    runs
        (ops, machine) -> whether the models hold there.
    """

    mark: str
    models: tuple[Kernel, ...]
    runs: Callable[[OpTable, Machine], bool] = anywhere


def both(
    schedule: str,
    parameters: Mapping[str, Parameter],
    seconds: Callable[[OpTable, Machine, str, Values], Floats],
    features: Features,
) -> tuple[Kernel, Kernel]:
    """Return the models of decode and prefill that one kernel's formula makes."""
    own = (schedule,), parameters, seconds
    return (
        Kernel("decode_attention", *own, decode.coordinates, features),
        Kernel("prefill_attention", *own, prefill.coordinates, features),
    )


def longest_of(ops: OpTable) -> Floats:
    """Return the keys of each decode batch's longest sequence, of chunks of each, float64[n]."""
    return np.where(ops.op == OPS.index("decode_attention"), longest(ops), ops["kv_len"])
