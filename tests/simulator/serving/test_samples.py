"""Samples of tiers stay few, in order, and end with the run."""

import polars as pl
import pytest

from tierlab.simulator.api import scenario
from tierlab.simulator.metrics.summary import summarise
from tierlab.simulator.results.tables import TIERS, tiers_frame
from tierlab.simulator.serving.run import simulate
from tierlab.simulator.serving.samples import MOST, Sample, Samples

TIERED = {
    "model": "Qwen2.5-7B-Instruct-1M",
    "hardware": "h200-tiered",
    "design": "vllm",
    "workload": {"generator": "agentic", "arrivals": "closed", "parameters": {"sessions": 3}},
    "engine": {"block_size": 64, "gpu_memory_utilization": 0.2},
    "tiers": {"dram": {"capacity": 2.0**34}, "ssd": {"capacity": 1e12, "write": "back"}},
}


def sample(time_s):
    return Sample(time_s, {"dram": time_s}, {"hbm": 0, "dram": int(time_s)})


def kept(number):
    samples = Samples()
    for i in range(number):
        if samples.due(float(i)):
            samples.add(sample(float(i)))
    return samples.rows(sample(float(number)))


@pytest.mark.parametrize("number", [1, 10, MOST, 3 * MOST, 100_000])
def test_few_in_order_and_over_the_whole_run(number):
    times = [row.time_s for row in kept(number)]
    assert times == sorted(set(times))
    assert (times[0], times[-1]) == (0.0, float(number))
    assert min(number, MOST // 4) <= len(times) <= MOST + 1
    widest = max(b - a for a, b in zip(times, times[1:], strict=False))
    assert widest <= max(1.0, 8 * number / MOST)


def test_of_one_moment_the_later_one_stands():
    samples = Samples()
    samples.add(Sample(1.0, {"dram": 1.0}, {}))
    samples.add(Sample(1.0, {"dram": 2.0}, {}))
    assert [row.held_bytes for row in samples.rows(sample(2.0))] == [{"dram": 1.0 + 1}, {"dram": 2}]


@pytest.fixture(scope="module")
def tiered():
    return simulate(scenario(TIERED))


def test_the_last_moment_agrees_with_the_summary(tiered):
    frame, told = tiers_frame(tiered), summarise(tiered)
    assert frame.columns == list(TIERS)
    last = frame.filter(pl.col("time_s") == tiered.simulated_s)
    served = dict(zip(last["tier"], last["reused_tokens"], strict=True))
    assert served == {name: told["tokens"]["reused"][name] for name in ("hbm", "dram", "ssd")}
    assert sum(served.values()) > 0
    peaks = dict(frame.group_by("tier").agg(pl.col("held_bytes").max()).iter_rows())
    assert peaks.pop("hbm") is None
    assert all(0 < peaks[name] <= told["tiers"][name]["peak_bytes"] for name in ("dram", "ssd"))


def test_parts_of_cost_and_energy_add_up(tiered):
    told = summarise(tiered)
    hours = told["simulated_s"] / 3600
    assert sum(told["usd_per_h"]["installed"].values()) * hours == pytest.approx(told["usd_total"])
    joules = sum(part["idle"] + part["busy"] for part in told["joules"].values())
    output = told["tokens"]["output"]
    assert joules / output == pytest.approx(told["joules_per_output_token"])
    assert set(told["usd_per_h"]["sized"]) == {"gpu", "dram", "ssd"}
