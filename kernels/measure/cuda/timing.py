"""Times of GPU work by the GPU's own clock, without the gaps that a slow host would leave.

A kernel that spins holds the stream while the host queues what is timed behind it: engines do the
same with CUDA graphs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from tierlab.kernels.compute.cuda.launch import launch
from tierlab.kernels.measure.cuda.facts import clock_hz
from tierlab.kernels.measure.sampling import LEAST, MOST, SAMPLE_S, shorten

MOST_REPEATS = 100
"""Three launches each stay below the 1,024 that a stream's queue is known to hold."""
_MARGIN, _LEAST_SPIN_S, _MOST_SPIN_S = 1.5, 5e-5, 2e-2


def device_samples(call: Callable[[], object], until: float, number: int = 0) -> list[float]:
    """Time a call that queues work on the current stream.

    Parameters
    ----------
    until
        When to stop, by `time.perf_counter`; at least `LEAST` samples are taken.

    Returns
    -------
    Seconds of one call, one a sample.
    """
    import cupy

    stream = cupy.cuda.get_current_stream()
    call()
    stream.synchronize()
    began = time.perf_counter()
    call()
    issue_s = time.perf_counter() - began
    once = max(_timed(call, 1, issue_s, number), 1e-7)
    repeats = min(MOST_REPEATS, max(1, math.ceil(SAMPLE_S / once)))
    samples: list[float] = []
    while len(samples) < LEAST or (len(samples) < MOST and time.perf_counter() < until):
        samples.append(shorten(_timed(call, repeats, issue_s, number)))
    return samples


def _timed(call: Callable[[], object], repeats: int, issue_s: float, number: int) -> float:
    import cupy

    spin_s = min(_MARGIN * issue_s * repeats + _LEAST_SPIN_S, _MOST_SPIN_S)
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    launch("stream.spin", (1,), 1, (cupy.int64(int(spin_s * clock_hz(number))),), ELEMENT=0)
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return float(cupy.cuda.get_elapsed_time(start, end)) * 1e-3 / repeats
