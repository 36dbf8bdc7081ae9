"""The second question of the demo: which tier below HBM is worth its money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tierlab.hwmodels.price import Prices, load_prices
from tierlab.kernels.base.units import duration
from tierlab.simulator.cli.tables import table
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.scenario.load import apply_settings, validate
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.run import simulate

GIB = 2**30
HARDWARE = "h200-tiered"
CROWD = ["workload.parameters.sessions=40", "workload.parameters.sessions_per_s=1.0"]
"""All sessions at once, so that their KV does not fit in HBM."""
DRAM = {"dram": {"capacity": 128.0 * GIB}}
CXL = {"cxl": {"capacity": 512.0 * GIB, "write": "back"}}
SSD = {"ssd": {"capacity": 4e12, "write": "back"}}
CHOICES: dict[str, dict[str, Any]] = {
    "HBM only": {},
    "+ 128 GiB DRAM": DRAM,
    "+ 512 GiB CXL": DRAM | CXL,
    "+ 4 TB NVMe": DRAM | CXL | SSD,
    "DRAM and NVMe, no CXL": DRAM | SSD,
    "the same, recomputing": DRAM | SSD | {"loading": "always_recompute"},
}
PRICED = {"dram": "ddr5", "cxl": "cxl", "ssd": "nvme"}


@dataclass(frozen=True)
class Choice:
    """One row: a set of tiers, what it costs an hour, and what a run says."""

    name: str
    usd_per_h: float
    summary: dict[str, Any]

    @property
    def wait_s(self) -> float:
        """Mean TTFT."""
        return float(self.summary["ttft_s"]["mean"])


def compare_tiers(scenario: Scenario) -> list[Choice]:
    """Simulate the demo's sessions, all at once, on each set of tiers."""
    prices = load_prices().with_overrides(dict(scenario.hardware.prices))
    return [_choice(scenario, prices, name, tiers) for name, tiers in CHOICES.items()]


def _choice(scenario: Scenario, prices: Prices, name: str, tiers: dict[str, Any]) -> Choice:
    data = scenario.model_dump()
    data["hardware"]["name"], data["tiers"] = HARDWARE, tiers
    apply_settings(data, CROWD)
    found = summarise(simulate(validate(data, "demo")))
    return Choice(name, _usd_per_h(prices, tiers), found)


def _usd_per_h(prices: Prices, tiers: dict[str, Any]) -> float:
    """Return the rental of the GPU and, bought and written off, the memory of the tiers."""
    total = prices.gpu_rental("h200")
    for tier, kind in PRICED.items():
        size = tiers.get(tier, {}).get("capacity", 0.0)
        paid = max(size - (prices.included_dram_bytes_per_gpu if tier == "dram" else 0.0), 0.0)
        total += prices.memory_usd(kind, paid) / (prices.amortisation_s / 3600)
    return total


def print_tiers(choices: list[Choice]) -> None:
    """Print a row for each set of tiers."""
    header = ("", "TTFT mean", "p90", "HBM", "DRAM", "CXL", "NVMe", "computed", "$/h")
    table("40 such sessions at once: where prompt tokens come from", header, _rows(choices))


def _rows(choices: list[Choice]) -> list[list[str]]:
    rows = []
    for choice in choices:
        tokens, ttft = choice.summary["tokens"], choice.summary["ttft_s"]
        shares = [tokens["reused"][tier] for tier in ("hbm", "dram", "cxl", "ssd")]
        counted = [
            f"{n / tokens['input']:.1%}" if n else "-" for n in [*shares, tokens["computed"]]
        ]
        waits = [duration(ttft["mean"]), duration(ttft["p90"])]
        rows.append([choice.name, *waits, *counted, f"{choice.usd_per_h:.2f}"])
    return rows


def worth(choices: list[Choice]) -> str:
    """Say which set of tiers buys the shortest wait, and which buys most for its money."""
    plain, others = choices[0], [c for c in choices[1:] if c.wait_s < choices[0].wait_s]
    if not others:
        return "Which tier is worth its money: none shortens the wait here."
    best = min(others, key=lambda c: c.wait_s)
    good = [c for c in others if c.wait_s <= 1.05 * best.wait_s]
    cheapest = min(good, key=lambda c: c.usd_per_h)
    more = cheapest.usd_per_h / plain.usd_per_h - 1.0
    return (
        f"Which tier is worth its money: {cheapest.name!r} cuts the mean wait from"
        f" {duration(plain.wait_s)} to {duration(cheapest.wait_s)} for {more:.1%} more an hour; no"
        f" dearer choice is over 5% better."
    )


def summaries(choices: list[Choice]) -> dict[str, Any]:
    """Return the rows as JSON."""
    return {c.name: {"usd_per_h": c.usd_per_h, **c.summary} for c in choices}


def possible(scenario: Scenario) -> bool:
    """Say whether the question makes sense for a scenario whose hardware may have been changed."""
    return scenario.hardware.name == "H200" and scenario.workload.generator == "agentic"
