"""How long the operations of some steps take on one GPU, and where that is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.bands import total_band
from tierlab.hwmodels.time.times import SOURCES, Times, origins
from tierlab.kernels.ops.registry import flops, traffic_bytes
from tierlab.kernels.ops.table import Work
from tierlab.simulator.serving.build import Parts


@dataclass(frozen=True)
class Phase:
    """The time of one phase on one replica, with its band and what bounds it.

    Attributes
    ----------
    flops, hbm_bytes
        Ideal work of one GPU: every input read once, every output written once.
    source
        Where most of the time is from.
    origins
        Shares of the time by source, the roofline's apart.
    outside
        Share of the time whose shapes lie outside what was measured.
    """

    seconds: float
    p10_s: float
    p90_s: float
    flops: float
    hbm_bytes: float
    compute_s: float
    memory_s: float
    source: str
    origins: dict[str, float]
    outside: float

    @property
    def bound(self) -> str:
        """The resource that the datasheet says is short: ``compute`` or ``memory``."""
        return "compute" if self.compute_s >= self.memory_s else "memory"


def time_of(parts: Parts, work: Work, times: Times) -> Phase:
    """Sum the work's predicted times, with the band of the sum and the ideal work."""
    repeat = work.repeat
    seconds, low, high = total_band(
        times.seconds * repeat, times.p10 * repeat, times.p90 * repeat, times.bias_group
    )
    gpu = parts.system.gpu
    total_flops, total_bytes = _sum(flops(work.ops), repeat), _sum(traffic_bytes(work.ops), repeat)
    each_s = times.seconds * repeat
    by_source = np.bincount(times.source, each_s, minlength=len(SOURCES))
    return Phase(
        seconds,
        low,
        high,
        total_flops,
        total_bytes,
        total_flops / gpu.peak_flop_per_s.get("bf16", max(gpu.peak_flop_per_s.values())),
        total_bytes / gpu.memory_bandwidth_bytes_per_s,
        SOURCES[int(by_source.argmax())],
        origins(times, each_s),
        float(each_s[times.extrapolated].sum() / max(each_s.sum(), np.finfo(float).tiny)),
    )


def _sum(values: NDArray[np.float64], repeat: NDArray[np.float64]) -> float:
    return float((values * repeat).sum())


def entry(phase: Phase) -> dict[str, Any]:
    """Return what ``plan --json`` says of it."""
    return {
        "seconds": phase.seconds,
        "p10_s": phase.p10_s,
        "p90_s": phase.p90_s,
        "flops": phase.flops,
        "hbm_bytes": phase.hbm_bytes,
        "bound": phase.bound,
        "source": phase.source,
        "origins": phase.origins,
        "outside": phase.outside,
        "extrapolated": phase.outside > 0,
    }
