"""The smallest sizes against the serving engine itself, every size simulated."""

from contextlib import nullcontext

import pytest

from tierlab.simulator.sizing.outcome import Bench
from tierlab.simulator.sizing.sizes import Reaches, hbm_row, size_rows

BLOCK = 16


def watch(label, unit):
    return nullcontext()


def simulated(setting, trace, blocks, tier="dram"):
    """Return hits over blocks asked for with a tier of so many blocks."""
    bench = Bench(setting, trace, watch)
    size = blocks * BLOCK * setting.token_bytes
    tokens = bench.at({tier: size} if blocks else {}).summary["tokens"]
    asked = int((trace.input_tokens // BLOCK).sum())
    return sum(tokens["reused"].values()) / BLOCK / asked


@pytest.mark.parametrize("seed", [0, 1])
def test_prompts_of_one_block_hit_what_the_distances_say_at_every_size(setting, log, prompts, seed):
    few = setting(hbm_blocks=6)
    trace = log(prompts(seed, n=80, documents=25, longest=1))
    reach = Reaches(few, trace).of(False)
    for blocks in (7, 8, 10, 13, 17, 21, 30):
        expected = reach.hit_ratio(blocks * reach.block_bytes)
        assert simulated(few, trace, blocks) == pytest.approx(expected, abs=1e-12), blocks


@pytest.mark.parametrize("seed", [2, 3])
def test_the_smallest_size_is_that_of_all_simulated_sizes_to_one_prompt(
    setting, log, prompts, seed
):
    few, longest = setting(hbm_blocks=10), 5
    trace = log(prompts(seed, n=80, documents=14, longest=longest))
    reaches = Reaches(few, trace)
    ratios = {blocks: simulated(few, trace, blocks) for blocks in range(12, 60)}
    checked = 0
    for share in (0.7, 0.8, 0.9, 0.97):
        wanted = share * reaches.of(False).unlimited
        (row,) = size_rows(few, reaches, ["dram"], wanted)
        if not row["needed"] or row["blocks"] - longest < 12:
            continue
        first = min(blocks for blocks, ratio in ratios.items() if ratio >= wanted)
        assert row["blocks"] - longest <= first <= row["blocks"]
        checked += 1
    assert checked


def test_a_tier_no_larger_than_what_hbm_keeps_mirrors_it(setting, log, prompts):
    few = setting(hbm_blocks=12)
    trace = log(prompts(4, n=80, documents=14, longest=4))
    alone = simulated(few, trace, 0)
    for blocks in (2, 4, 6, 8):
        assert simulated(few, trace, blocks) == pytest.approx(alone, abs=1e-12)
    assert simulated(few, trace, 40) > alone + 0.1
    (row,) = size_rows(few, Reaches(few, trace), ["dram"], 0.3 * alone)
    assert not row["needed"]
    assert row["bytes"] == 0
    assert row["mirrors_up_to_bytes"] == few.hbm_bytes


def test_a_row_has_every_unit_room_and_dollars(setting, log, prompts):
    few = setting(hbm_blocks=6)
    reaches = Reaches(few, log(prompts(1, documents=20, longest=4)))
    wanted = 0.9 * reaches.of(False).unlimited
    rows = {r["tier"]: r for r in size_rows(few, reaches, ["dram", "cxl", "ssd"], wanted)}
    for row in rows.values():
        assert row["bytes"] == row["blocks"] * BLOCK * few.token_bytes
        assert row["gib"] * 2**30 == pytest.approx(row["bytes"])
        assert row["gb"] * 1e9 == pytest.approx(row["bytes"])
        assert row["exclusive_bytes"] == row["bytes"] - few.hbm_bytes
        assert row["fits"]
        assert row["hit_ratio"] >= wanted
    assert rows["dram"]["room_bytes"] == 1024 * 2**30
    assert rows["dram"]["tier_usd_per_h"] == 0
    assert rows["cxl"]["tier_usd_per_h"] > rows["ssd"]["tier_usd_per_h"] > 0
    assert hbm_row(few, reaches)["blocks"] == 6


def test_sizes_grow_with_the_ratio(setting, log, prompts):
    few = setting(hbm_blocks=4)
    reaches = Reaches(few, log(prompts(7, n=200, documents=30)))
    best = reaches.of(False).unlimited
    sizes = [size_rows(few, reaches, ["ssd"], best * k / 40)[0]["bytes"] for k in range(1, 41)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_a_shared_tier_serves_what_one_replica_computed_to_another(setting, log, prompts):
    common = {"hbm_blocks": 6, "hardware": "h200-8x-tiered", "replicas": 2}
    own, shared = setting(**common), setting(**common, tiers={"dram": {"shared": True}})
    trace = log(prompts(3, n=120, documents=10))
    (each,) = size_rows(own, Reaches(own, trace), ["dram"], 0.4)
    (one,) = size_rows(shared, Reaches(shared, trace), ["dram"], 0.4)
    assert one["bytes"] < 2 * each["bytes"]
    assert one["mirrors_up_to_bytes"] == 0
    assert own.instances("dram") == 2
    assert shared.instances("dram") == 1
    assert own.room_bytes("dram") == shared.room_bytes("dram") / 2
