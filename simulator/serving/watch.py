"""Who watches a run as it passes: told of every step, which nothing keeps otherwise."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.build import Parts
from tierlab.simulator.serving.requests import Requests
from tierlab.simulator.serving.tiering import Tiering
from tierlab.traces.schema import Trace

Floats = NDArray[np.float64]


class Watch(Protocol):
    """A watcher; it sees replicas one by one, each in order of time, and changes nothing."""

    def begins(self, scenario: Scenario, parts: Parts, trace: Trace, requests: Requests) -> None:
        """Take note of a run that begins; `requests` change as it passes."""

    def passed(self, replica: int, each: Floats, happened: Floats) -> None:
        """Take note of a replica's steps (`watched.EACH_COLUMNS`) and its requests' changes.

        The arrays (the second with `watched.HAPPENED_COLUMNS`) are reused after the call.
        """

    def hold(self, replica: int, tiering: Tiering) -> None:
        """Take note that what a replica's tiers hold may have changed now."""
