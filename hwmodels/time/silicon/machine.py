"""What a kernel model sees of a GPU: figures of its datasheet, nothing fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.roofline import FALLBACKS
from tierlab.kernels.base.errors import BadInput


@dataclass(frozen=True)
class Machine:
    """The figures of one GPU.

    Attributes
    ----------
    name
        As in the catalogue.
    sms, clock_hz
        Streaming multiprocessors and their boost clock.
    bytes_per_s, l2_bytes, sram_bytes
        Memory bandwidth, L2 capacity, shared memory of one SM.
    flop_per_s
        Dense peaks by dtype.
    tdp_w
        Power limit.
    """

    name: str
    sms: float
    clock_hz: float
    bytes_per_s: float
    l2_bytes: float
    sram_bytes: float
    flop_per_s: Mapping[str, float]
    tdp_w: float

    def peak(self, dtype: str) -> float:
        """Return the peak that arithmetic in `dtype` runs at, after the roofline's fallbacks.

        Raises
        ------
        BadInput
            The device has none that would do.
        """
        for candidate in FALLBACKS[dtype]:
            if candidate in self.flop_per_s:
                return self.flop_per_s[candidate]
        raise BadInput(self.name, f"states no peak for {dtype}", ", ".join(FALLBACKS[dtype]))

    @property
    def peak_clock_hz(self) -> float:
        """The clock that the 16-bit peak is stated at: a tensor core's work a cycle is 2^n."""
        per_sm_cycle = self.peak("bf16") / (self.sms * self.clock_hz)
        return self.peak("bf16") / (self.sms * 2.0 ** round(math.log2(per_sm_cycle)))


def machine_of(gpu: Gpu) -> Machine:
    """Take the figures from a device of the catalogue."""
    return Machine(
        gpu.name,
        gpu.sms,
        gpu.clock_hz,
        gpu.memory_bandwidth_bytes_per_s,
        gpu.l2_bytes,
        gpu.sram_bytes_per_sm,
        gpu.peak_flop_per_s,
        gpu.tdp_w,
    )
