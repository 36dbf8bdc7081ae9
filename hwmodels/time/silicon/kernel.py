"""What a kernel model is: a formula, its parameters, its schedules, and where its error varies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.once import once
from tierlab.kernels.ops.table import OpTable

Floats = NDArray[np.float64]
Values = Mapping[str, float]
Features = Callable[[OpTable, Machine, str, Values, Floats], Mapping[str, Floats]]


@dataclass(frozen=True)
class Parameter:
    """One constant of a formula.

    Attributes
    ----------
    start, low, high
        Where a fit starts, and between what it must stay; all positive.
    meaning
        What it is, with its unit.
    absent
        What it is where a calibration was made before it existed; None: such a file is refused.
    only
        The schedules that it belongs to, if not to all: fits of others leave it out.
    firm
        How firmly it is held to where it starts; more for shapes where there are few measurements.
    """

    start: float
    low: float
    high: float
    meaning: str
    absent: float | None = None
    only: tuple[str, ...] = ()
    firm: float = 1.0


@dataclass(frozen=True)
class Kernel:
    """A kernel model.

    Attributes
    ----------
    op
        The operation that it times.
    schedules
        Ways to divide the work over SMs; a calibration names the one that its kernel uses.
    parameters
        Name -> parameter, in the order of a fit.
    seconds
        (ops, machine, schedule, parameter values) -> float64[n], s.
    coordinates
        ops -> name -> float64[n]: where the formula's error may vary, mostly log2 of shapes.
    features
        (ops, machine, schedule, parameter values, seconds) -> name -> float64[n]: what trees ask
        about what the formula leaves over; absent, the coordinates and log2 of the seconds.
    marks
        Schedule -> what the names of its kernels hold, where it is tried for no others.
    families
        Schedule -> the same; a kernel whose name holds any of these is tried with these alone.
    made
        Schedule -> the generation of GPUs that it is made for, where it runs on no other.
    curved
        Whether what the formula leaves over is a curve in the message's size (`curve`), not trees;
        `features` then tell the ``way`` that each message takes.
    """

    op: str
    schedules: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    seconds: Callable[[OpTable, Machine, str, Values], Floats]
    coordinates: Callable[[OpTable], Mapping[str, Floats]]
    features: Features | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    families: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    curved: bool = False

    def of(self, schedule: str) -> dict[str, Parameter]:
        """Return the parameters of one schedule."""
        return {n: p for n, p in self.parameters.items() if not p.only or schedule in p.only}

    def asked(
        self, ops: OpTable, machine: Machine, schedule: str, p: Values, seconds: Floats
    ) -> Mapping[str, Floats]:
        """Return the features of each row."""
        if self.features is not None:
            return self.features(ops, machine, schedule, p, seconds)
        return {**self.coordinates(ops), "seconds": np.log2(seconds)}


THREADS = 2048.0
"""Of one SM, at once."""
HEAD_DIMS = (64, 128, 192, 256)
"""Widths that kernels are compiled for apart; others interpolate."""


def by_head_dim(head_dim: Floats, values: Values, name: str) -> Floats:
    """Interpolate the parameters ``name64 .. name256``; wider heads cost in proportion."""
    known: Floats = np.interp(head_dim, HEAD_DIMS, [values[f"{name}{d}"] for d in HEAD_DIMS])
    return known


ENGINE = "engine"
"""The schedule of the kernels that vLLM runs on a machine, by its generation; for constants that
stand for several."""
_SRAM_HOPPER = 200e3


def generation(machine: Machine) -> str:
    """Return ``blackwell``, ``hopper`` or ``older``, by 4-bit arithmetic and shared memory."""
    if "fp4" in machine.flop_per_s and machine.sram_bytes > _SRAM_HOPPER:
        return "blackwell"
    return "hopper" if machine.sram_bytes > _SRAM_HOPPER else "older"


def rounding(parts: Floats) -> Floats:
    """Return how much larger a number of parts becomes when the last counts as whole."""
    larger: Floats = np.ceil(parts) / parts
    return larger


def soft_max(a: Floats, b: Floats, power: float) -> Floats:
    """Return the `power`-norm of two times: their maximum where it is large, their sum at 1."""
    top = np.maximum(a, b)
    ratio = np.minimum(a, b) / np.maximum(top, 1e-30)
    result: Floats = top * (1.0 + ratio**power) ** (1.0 / power)
    return result


def soft_min(a: float, b: Floats) -> Floats:
    """Return a smooth minimum of two rates: the fourth power of their inverses adds up."""
    ratio = np.square(a / b)
    result: Floats = a / np.sqrt(np.sqrt(1.0 + ratio * ratio))
    return result


def miss_share(footprint_bytes: Floats, l2_bytes: float, sharpness: float) -> Floats:
    """Return the share of traffic that L2 does not serve when a call is repeated."""
    ratio = np.maximum(footprint_bytes / l2_bytes, 1e-6)
    share: Floats = 1.0 / (1.0 + ratio**-sharpness)
    return share


def through_l2(moved: Floats, touched: Floats, machine: Machine, p: Values, sharp: float) -> Memory:
    """Return what `moved` bytes take where all that a call `touched` shares the L2, float64[n]."""
    miss = miss_share(touched, p["l2_share"] * machine.l2_bytes, sharp)
    per_byte = (miss / p["hbm_eff"] + (1.0 - miss) / p["l2_speed"]) / machine.bytes_per_s
    return Memory(moved * per_byte, miss)


class Memory(NamedTuple):
    """Seconds that memory and L2 need, and the share that misses L2."""

    busy: Floats
    miss: Floats


@once
def reach(ops: OpTable) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the keys that the last query sees, and whether a window binds."""
    window = ops["window"]
    binds = (window > 0) & (ops["kv_len"] > window)
    return np.where(binds, window, ops["kv_len"]), binds


@once
def query_sizes(ops: OpTable) -> Mapping[str, Floats]:
    """Return log2 of queries, of heads over the batch, of head width and group, and of work."""
    queries, lanes = np.log2(ops["q_len"]), np.log2(ops["batch"] * ops["heads"])
    return {
        "queries": queries,
        "lanes": lanes,
        "dim": 2.0 * np.log2(ops["head_dim"] / 64.0),
        "group": 2.0 * np.log2(ops["heads"] / ops["kv_heads"]),
        "work": queries + lanes,
    }


@once
def store_waves(ops: OpTable, machine: Machine) -> Floats:
    """Return the waves of threads that store new keys and values, float64[n].

    vLLM's ``reshape_and_cache_flash``: a block of min(KV heads x head width, 512) threads a token.
    """
    threads = np.minimum(ops["kv_heads"] * ops["head_dim"], 512.0)
    waves: Floats = ops["batch"] * ops["q_len"] * threads / (THREADS * machine.sms)
    return waves


def stored(value: float) -> float:
    """Return a number as calibration files hold it: five digits."""
    return float(f"{value:.5g}")
