"""Step times from a profile of whole-step kernels, in place of operations and a time model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.profile import StepProfile
from tierlab.hwmodels.time.times import CALIBRATED, SOURCES
from tierlab.simulator.serving.hosttime import HostTime
from tierlab.simulator.serving.lookup import WAITING
from tierlab.simulator.serving.steptime import StepTimes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ProfileTimer:
    """Step times of one replica that a profile was measured for.

    Several chunks in one step share its kernel: the profile knows one chunk, so they count as
    one chunk of all their tokens after the mean of their keys, weighted by tokens.

    Attributes
    ----------
    host
        The host's share; by default None, because the measured run of the shipped profile is
        explained by its kernels within half a percent, which leaves the host nothing.
    """

    profile: StepProfile
    host: HostTime | None = None

    def decode(self, kv_len: Ints, steps: int) -> StepTimes:
        """Return `steps` decode steps of a batch that does not change."""
        batch = len(kv_len)
        mean = kv_len.mean() + np.arange(steps)
        uneven = self._ragged(0, kv_len)
        fixed = self.profile.dense.at(batch) + self.profile.head.at(batch)
        device = fixed + uneven * self.profile.attention.at(0.0, 0.0, batch, mean)
        return self._times(device, batch, batch, True)

    def mixed(self, q_len: Ints, kv_len: Ints, decodes: Ints) -> StepTimes:
        """Return one step of prefill chunks beside decodes."""
        new, batch = int(q_len.sum()), len(decodes)
        before = float(((kv_len - q_len) * q_len).sum()) / new
        keys = float(decodes.mean()) if batch else 0.0
        device = self.profile.dense.at(new + batch) + self.profile.head.at(len(q_len) + batch)
        uneven = self._ragged(new, decodes)
        device = device + uneven * self.profile.attention.at(new, before, batch, keys)
        return self._times(device, new + batch, len(q_len) + batch, False)

    def _ragged(self, chunk: int, decodes: Ints) -> Floats | float:
        """Return what unlike lengths make of attention's time."""
        if not len(decodes) or self.profile.ragged is None:
            return 1.0
        mean = float(decodes.mean())
        beyond = float(decodes.max()) / mean - 1.0
        return self.profile.ragged.at(chunk, len(decodes), mean, beyond)

    def _times(self, device: Floats, tokens: int, sequences: int, alone: bool) -> StepTimes:
        by_source = np.zeros((len(SOURCES), len(device)))
        by_source[CALIBRATED] = device
        if self.host is None:
            return StepTimes(device, by_source)
        seconds = self.host.step_s(device, tokens, sequences, alone)
        by_source[WAITING] += seconds - device
        return StepTimes(seconds, by_source)
