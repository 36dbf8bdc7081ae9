"""One simulation at given tier sizes, as the few figures that sizing compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.scenario.tiers import NAMES
from tierlab.simulator.serving.run import Progress, Run, serve
from tierlab.simulator.sizing.dollars import usd_per_h
from tierlab.simulator.sizing.setting import Setting, with_capacities
from tierlab.traces.schema import Trace

Watch = Callable[[str, str], AbstractContextManager[Progress | None]]
"""Makes a progress bar of a label and a unit."""


@dataclass(frozen=True)
class Outcome:
    """What a run at some sizes came to.

    Attributes
    ----------
    sizes_bytes
        Tier -> bytes of each instance; none but HBM where empty.
    hit_ratio
        Prompt tokens that were not computed, over prompt tokens.
    gpu_s
        Seconds in which GPUs ran steps, all GPUs together.
    usd_per_h, usd_per_million_tokens
        Of GPUs and tiers of these sizes, over output tokens; None without a price.
    summary
        As `tierlab run --json` prints it; its own dollars are of the whole system.
    """

    sizes_bytes: dict[str, float]
    hit_ratio: float
    gpu_s: float
    simulated_s: float
    usd_per_h: float | None
    usd_per_million_tokens: float | None
    summary: dict[str, Any] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        ttft = self.summary["ttft_s"]
        return {
            "sizes_bytes": self.sizes_bytes,
            "requests": self.summary["requests"],
            "completed": self.summary["completed"],
            "hit_ratio": self.hit_ratio,
            "ttft_mean_s": ttft["mean"],
            "ttft_p50_s": ttft["p50"],
            "ttft_p99_s": ttft["p99"],
            "gpu_s": self.gpu_s,
            "simulated_s": self.simulated_s,
            "usd_per_h": self.usd_per_h,
            "usd_per_million_tokens": self.usd_per_million_tokens,
        }


class Bench:
    """Simulates one trace at different tier sizes; each size once.

    Parameters
    ----------
    watch
        Makes a progress bar for each run.
    """

    def __init__(self, setting: Setting, trace: Trace, watch: Watch) -> None:
        self.setting, self.trace, self._watch = setting, trace, watch
        self._known: dict[tuple[tuple[str, float], ...], Outcome] = {}

    @property
    def runs(self) -> int:
        """How many simulations were made."""
        return len(self._known)

    def at(self, sizes_bytes: Mapping[str, float], label: str = "simulating") -> Outcome:
        """Return the outcome with exactly these tiers.

        Raises
        ------
        BadInput
            The tiers cannot stand on each other, or the hardware has no room for them.
        """
        sizes = {name: size for name, size in sizes_bytes.items() if size > 0}
        key = tuple(sorted(sizes.items()))
        if key not in self._known:
            with self._watch(label, "requests") as report:
                self._known[key] = self._run(sizes, report)
        return self._known[key]

    def _run(self, sizes: dict[str, float], report: Progress | None) -> Outcome:
        none = dict.fromkeys(NAMES, 0.0)
        scenario = with_capacities(self.setting.scenario, none | sizes)
        run = serve(scenario, self.setting.parts, self.trace, report)
        return _outcome(run, sizes, usd_per_h(self.setting, sizes))


def _outcome(run: Run, sizes: dict[str, float], per_h: float | None) -> Outcome:
    summary = summarise(run)
    tokens, output = summary["tokens"], summary["tokens"]["output"]
    reused = sum(tokens["reused"].values())
    gpu_s = float(run.record.busy_s.sum()) * run.scenario.engine.tensor_parallel_size
    usd = None if per_h is None or not output else per_h * run.simulated_s / 3600
    return Outcome(
        sizes,
        reused / tokens["input"] if tokens["input"] else 0.0,
        gpu_s,
        run.simulated_s,
        per_h,
        None if usd is None else usd / output * 1e6,
        summary,
    )
