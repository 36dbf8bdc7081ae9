"""The smallest tier that meets a service level, by simulating."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.kernels.base.units import duration, gib
from tierlab.simulator.metrics.quantiles import QUANTILES
from tierlab.simulator.sizing.bisect import Bracket, smallest
from tierlab.simulator.sizing.dollars import tiers_usd_per_h
from tierlab.simulator.sizing.outcome import Bench, Outcome
from tierlab.simulator.sizing.reach import Reach
from tierlab.simulator.sizing.sizes import written

LATENCIES = ("ttft", "tpot", "itl", "e2e", "queue")
STATISTICS = ("mean", *QUANTILES)
TOLERANCE = 0.1
SMALLEST_SHARE = 1 / 16
"""Of HBM: the least size tried; a tier that small holds but a few prompts."""


@dataclass(frozen=True)
class Target:
    """A bound on one figure of a run, e.g. ``ttft_p99_s=2``."""

    latency: str
    statistic: str
    most_s: float

    @property
    def text(self) -> str:
        """The target as it is written."""
        return f"{self.latency}_{self.statistic}_s={self.most_s:g}"

    def value_s(self, outcome: Outcome) -> float | None:
        """Return the figure; None where nothing was measured."""
        value: float | None = outcome.summary[f"{self.latency}_s"][self.statistic]
        return value

    def met(self, outcome: Outcome) -> bool:
        """Say whether the figure is within the bound."""
        value = self.value_s(outcome)
        return value is not None and value <= self.most_s


def parse_target(text: str) -> Target:
    """Read ``LATENCY_STATISTIC_s=SECONDS``.

    Raises
    ------
    BadInput
        It is not of that form, or the bound is no time above 0.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    known = {f"{a}_{b}_s": (a, b) for a in LATENCIES for b in STATISTICS}
    if not equals:
        raise BadInput("--slo", f"{text!r} is not FIGURE=SECONDS", "e.g. ttft_p99_s=2")
    if name not in known:
        raise BadInput("--slo", f"unknown figure {name!r}", near(name, known))
    try:
        most_s = float(value)
    except ValueError:
        most_s = math.nan
    if not 0 < most_s < math.inf:
        raise BadInput("--slo", f"{value!r} is no bound", "seconds above 0, e.g. ttft_p99_s=2")
    return Target(*known[name], most_s)


def size_for(
    bench: Bench, target: Target, name: str, reach: Reach, tolerance: float = TOLERANCE
) -> dict[str, Any]:
    """Return the smallest size of one tier that meets a target, other tiers as they are.

    Raises
    ------
    BadInput
        Not even the largest size that is of use, or that the hardware has room for, meets it.
    """
    others = {n: size for n, size in bench.setting.existing().items() if n != name}
    without = bench.at(others, f"without {name}")
    if target.met(without):
        return _row(bench, target, name, without, None)
    most, why = _most(bench, name, reach)
    largest = bench.at({**others, name: most}, f"{name} {gib(most)}")
    if not target.met(largest):
        raise _unmet(target, name, without, largest, most, why)

    def meets(size: float) -> bool:
        return target.met(bench.at({**others, name: size}, f"{name} {gib(size)}"))

    least = min(bench.setting.hbm_bytes * SMALLEST_SHARE, most)
    bracket = smallest(meets, least, most, tolerance)
    return _row(bench, target, name, bench.at({**others, name: bracket.meets}), bracket)


def _most(bench: Bench, name: str, reach: Reach) -> tuple[float, str]:
    """Return the largest size worth trying: every block of the trace, or the room there is."""
    useful = reach.every_block * reach.block_bytes
    room = bench.setting.room_bytes(name)
    if room < useful:
        return room, "all that the hardware has room for"
    return max(useful, bench.setting.hbm_bytes * SMALLEST_SHARE), "all that the trace asks for"


def _unmet(
    target: Target, name: str, without: Outcome, largest: Outcome, most: float, why: str
) -> BadInput:
    best = min((without, largest), key=lambda o: target.value_s(o) or math.inf)
    reached = target.value_s(best)
    shown = "nothing finished" if reached is None else f"{duration(reached)}"
    what = f"{target.text} is not met by {name} of {gib(most)}, {why}: {shown} at best"
    accepted = "a target that a tier can meet, fewer requests, or more replicas"
    if reached is not None:
        accepted = f"from {target.latency}_{target.statistic}_s={reached * 1.001:.4g} on"
    return BadInput("--slo", what, accepted)


def _row(
    bench: Bench, target: Target, name: str, at: Outcome, bracket: Bracket | None
) -> dict[str, Any]:
    size = bracket.meets if bracket else 0.0
    tried = bracket.tried if bracket else ()
    return {
        "tier": name,
        **written(size),
        "needed": bracket is not None,
        "fails_at_bytes": bracket.fails if bracket else None,
        "monotone": bracket.monotone if bracket else None,
        "tried": [{"bytes": nbytes, "meets": met} for nbytes, met in tried],
        "value_s": target.value_s(at),
        "tier_usd_per_h": tiers_usd_per_h(bench.setting, {name: size}),
        "outcome": at.to_json(),
    }
