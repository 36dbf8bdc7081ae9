from contextlib import nullcontext

import pytest

from tierlab.simulator.sizing.dollars import tiers_usd_per_h, usd_per_h
from tierlab.simulator.sizing.doubling import doublings, gain
from tierlab.simulator.sizing.outcome import Bench, Outcome

GB = 1e9
YEARS_4_H = 4 * 365 * 24


def outcome(gpu_s, ttft_s, per_h, simulated_s=3600.0):
    summary = {"ttft_s": {"mean": ttft_s}}
    return Outcome({}, 0.0, gpu_s, simulated_s, per_h, None, summary)


def test_dollars_of_each_tier_are_the_closed_form(setting):
    one = setting()
    included = 256 * 2**30
    assert tiers_usd_per_h(one, {"dram": included}) == 0
    dram = tiers_usd_per_h(one, {"dram": included + 100 * GB})
    assert dram == pytest.approx(100 * 12.9 / YEARS_4_H)
    cxl = one.parts.system.nodes["cxl0"]
    power = cxl.tdp_w / 1e3 * 100 * GB / cxl.capacity_bytes * 1.58 * 0.08
    assert tiers_usd_per_h(one, {"cxl": 100 * GB}) == pytest.approx(100 * 16 / YEARS_4_H + power)
    both = tiers_usd_per_h(one, {"dram": included + 100 * GB, "cxl": 100 * GB})
    assert both == pytest.approx(dram + 100 * 16 / YEARS_4_H + power)
    assert usd_per_h(one, {"dram": included}) == pytest.approx(4.0)


def test_each_replica_pays_for_its_tier_and_brings_its_dram(setting):
    two = setting(hardware="h200-8x-tiered", replicas=2)
    shared = setting(hardware="h200-8x-tiered", replicas=2, tiers={"dram": {"shared": True}})
    size = 256 * 2**30 + 10 * GB
    assert tiers_usd_per_h(two, {"dram": size}) == pytest.approx(20 * 12.9 / YEARS_4_H)
    assert tiers_usd_per_h(shared, {"dram": size}) == 0
    assert usd_per_h(two, {}) == pytest.approx(8.0)


def test_prices_are_the_scenarios(setting, with_prices):
    one = with_prices(setting(), **{"memory_usd_per_gb.nvme": 1000.0})
    assert tiers_usd_per_h(one, {"ssd": 35.04 * GB}) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    ("after", "worth", "told"),
    [
        (outcome(900.0, 0.8, 4.05), True, "worth it: $0.0005 for a GPU-second saved"),
        (outcome(900.0, 0.8, 4.5), False, "not worth it: $0.005 for a GPU-second saved"),
        (outcome(1000.0, 1.0, 4.1), False, "saves no GPU time"),
        (outcome(1100.0, 0.9, 4.0), False, "saves no GPU time"),
    ],
)
def test_the_verdict_compares_a_saved_with_a_rented_gpu_second(setting, after, worth, told):
    bench = Bench(setting(), None, None)
    found = gain(bench, outcome(1000.0, 1.0, 4.0), after)
    assert found["rented_usd_per_gpu_s"] == pytest.approx(4 / 3600)
    assert found["worth_it"] is worth
    assert told in found["verdict"]
    assert found["saved_gpu_s"] == 1000.0 - after.gpu_s
    assert "\n" not in found["verdict"]


def test_savings_are_counted_by_the_hour(setting):
    found = gain(
        Bench(setting(), None, None), outcome(50, 1, 4, 360.0), outcome(40, 0.5, 4.2, 360.0)
    )
    assert found["saved_gpu_s_per_h"] == pytest.approx(100)
    assert found["usd_per_saved_gpu_s"] == pytest.approx(0.2 / 100)
    assert found["usd_per_h_per_saved_ttft_s"] == pytest.approx(0.4)


def test_without_a_price_there_is_no_verdict(setting):
    found = gain(Bench(setting(), None, None), outcome(2, 1, None), outcome(1, 1, None))
    assert found["worth_it"] is None
    assert found["verdict"] == "no price"


def test_doubling_is_the_run_at_twice_the_size(setting, log, prompts):
    few = setting(hbm_blocks=6)
    bench = Bench(
        few, log(prompts(1, n=60, documents=12, longest=4)), lambda label, unit: nullcontext()
    )
    block = 16 * few.token_bytes
    sizes = {"dram": 10 * block, "ssd": 10 * few.room_bytes("ssd") / 16}
    found = doublings(bench, sizes)
    dram, ssd = found["doubled"]
    assert dram["sizes_bytes"] == {"dram": 20 * block, "ssd": sizes["ssd"]}
    same = bench.at({"dram": 20 * block, "ssd": sizes["ssd"]})
    assert dram["ttft_p99_s"] == same.summary["ttft_s"]["p99"]
    assert dram["usd_per_h"] == usd_per_h(few, same.sizes_bytes)
    assert ssd == {
        "tier": "ssd",
        "bytes": 2 * sizes["ssd"],
        "room_bytes": few.room_bytes("ssd"),
        "fits": False,
    }
    assert found["now"]["hit_ratio"] > found["alone"]["hit_ratio"]
    tokens = found["now"]
    cost = tokens["usd_per_h"] * tokens["simulated_s"] / 3600 / (60 * 2) * 1e6
    assert tokens["usd_per_million_tokens"] == pytest.approx(cost)
    assert bench.runs == 3
