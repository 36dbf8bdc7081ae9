"""How far a schedule's times are from those of kernels that run it, as factors: p10 and p90.

From `benchmarks/schedule_bands.py` (2026-11-22; docs/results/attention_schedules.md): true time
over predicted, by length, on the GPU that the schedules' constants come from and on others. The
kernels are vLLM's and TensorRT-LLM's in the tables of aiconfigurator-core; FlashAttention 1 and
standard attention are known from FlashAttention-2's README figure and the first paper alone, by ten
numbers each, whose ends stand here. What was measured nowhere has the widest band of its operation,
and so have windows, and grouped heads where no kernel was measured (`UNGROUPED`). Where a schedule
errs to one side, its own time is still in the band.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.schedules.problem import Number, Problem
from tierlab.hwmodels.time.schedules.registry import SPATIAL, op_of, others_of
from tierlab.hwmodels.time.silicon.machine import Machine

Floats = NDArray[np.float64]
Factors = tuple[float, float]
HOME = "A100-80G"
"""The GPU that the constants come from."""
LENGTHS_FROM = np.array([1.0, 1024.0, 4096.0])
"""Lengths from which on a band holds."""
LENGTH: dict[str, Callable[[Problem], Number]] = {
    "prefill_attention": lambda problem: problem.q_len,
    "decode_attention": lambda problem: problem.reach,
}
"""Operation -> which length: queries of a prompt, keys that a decode reads."""
AT_HOME: dict[str, tuple[Factors | None, ...]] = {
    "materialised": (None, (0.96, 1.11), (0.92, 1.04)),
    "flash1": (None, (0.59, 1.17), (0.28, 0.56)),
    "flash2": ((1.73, 4.14), (1.06, 1.66), (0.98, 1.33)),
    "unsplit": ((0.98, 4.47), (0.88, 1.09), (0.97, 1.06)),
    "flash_decoding": ((0.63, 3.89), (0.87, 1.17), (0.88, 1.22)),
}
ELSEWHERE: dict[str, tuple[Factors | None, ...]] = {
    "flash2": ((0.87, 2.44), (1.29, 2.03), (1.20, 1.53)),
    "flash3": ((2.16, 4.27), (1.21, 2.59), (0.96, 1.49)),
    "unsplit": ((0.55, 2.40), (0.39, 0.91), (0.78, 0.91)),
    "flash_decoding": ((0.49, 3.11), (0.60, 1.20), (0.71, 1.46)),
}
"""Held out: nothing was fitted on these GPUs; `decoding.drawn` was chosen with them in sight."""
UNGROUPED = ("unsplit",)
"""Schedules whose kernels were measured without grouped heads alone."""
OF_AN_ARTIFACT = (0.999, 1.001)
"""Of a spatial array: of what another simulator says (`spatial`); nobody built one."""


def stated(name: str, home: bool, place: int) -> Factors | None:
    """Return the factors of a schedule at one of `LENGTHS_FROM`; None where nobody measured."""
    if name in SPATIAL:
        return OF_AN_ARTIFACT
    known = (AT_HOME if home else ELSEWHERE).get(name)
    return known[place] if known else None


def widest(name: str, place: int) -> Factors:
    """Return the least and the largest factor of all schedules for the same on the same."""
    known = [stated(other, home, place) for other in others_of(name) for home in (True, False)]
    low, high = zip(*(factors for factors in known if factors), strict=True)
    return min(low), max(high)


def band(name: str, problem: Problem, machine: Machine) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the factors of p10 and of p90, and whether they are the widest, [n] each."""
    places = range(len(LENGTHS_FROM))
    own = [stated(name, machine.name == HOME, i) for i in places]
    most = [widest(name, i) for i in places]
    place = np.searchsorted(LENGTHS_FROM, LENGTH[op_of(name)](problem), "right") - 1
    place = np.maximum(place, 0)
    unknown = np.array([factors is None for factors in own])[place]
    if name not in SPATIAL:
        unknown |= problem.reach < problem.kv_len
        unknown |= (name in UNGROUPED) & (problem.heads > problem.kv_heads)
    factors = np.array([[f or m for f, m in zip(own, most, strict=True)], most])
    low, high = factors[unknown.astype(np.intp), place].T
    return np.minimum(low, 1.0), np.maximum(high, 1.0), unknown
