"""``[tiers]``: keys, units, presets with a source for each value, and what is built of them."""

import re

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.keys import keys
from tierlab.simulator.scenario.load import apply_settings, validate
from tierlab.simulator.scenario.tiers import NAMES, TierSection, TiersSection
from tierlab.simulator.tiers.build import make_hierarchies, make_loading, tier_specs
from tierlab.simulator.tiers.preset import load_preset, tier_preset_names

PRESETS = list(tier_preset_names())
GIB = 2.0**30


def scenario(tiers, *settings):
    data = {"model": "m", "hardware": "h", "workload": {"generator": "chat"}, "tiers": tiers}
    apply_settings(data, settings)
    return validate(data, "s.toml")


def specs(section, engine_tokens=16):
    return tier_specs(section, engine_tokens, 131072.0, 40 * GIB, 64)


@pytest.mark.parametrize("name", PRESETS)
def test_every_value_of_a_preset_has_a_source(name):
    preset = load_preset(name, "test")
    assert preset.summary
    assert re.search(r"\d", preset.version)
    assert set(preset.sources) == set(preset.values())
    for source in preset.sources.values():
        assert len(source) > 10
        assert not source.startswith("assumption") or re.search(r"\d{4}-\d\d-\d\d", source)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_tiers(name):
    made = scenario(name).tiers
    found = specs(made)
    hierarchies = make_hierarchies(made, found, 16, 300_000.0, 3)
    assert len(hierarchies) == 3
    assert made.names() == [tier.spec.name for tier in hierarchies[0].tiers]
    assert all(tier.store.capacity >= 1 for tier in hierarchies[0].tiers)
    for at, spec in enumerate(found):
        same = hierarchies[0].tiers[at] is hierarchies[1].tiers[at]
        assert same == spec.shared
    assert make_loading(made).name == "always_load"


def test_a_preset_says_what_the_reference_says():
    hicache = scenario("sglang-hicache-timeout").tiers
    assert (hicache.dram.hbm_ratio, hicache.dram.block_size, hicache.load) == (2.0, 64, "layerwise")
    assert hicache.prefetch.model_dump() == {
        "policy": "timeout",
        "threshold_tokens": 256,
        "base_s": 2.0,
        "per_1024_s": 0.1,
        "most_s": 30.0,
        "batch_blocks": 128,
        "share": 0.8,
    }
    assert scenario("lmcache").tiers.dram.capacity == 5e9
    assert scenario("lmcache").tiers.dram.block_size == 256
    mooncake = scenario("mooncake-store").tiers.dram
    assert (mooncake.high_watermark, mooncake.evict_share, mooncake.shared) == (0.9, 0.05, True)
    assert scenario("dynamo-kvbm").tiers.ssd.store_after_uses == 2
    assert scenario("vllm-offloading").tiers.dram.tracked == 64_000


def test_what_is_set_replaces_the_preset_and_nothing_else():
    made = scenario(
        "sglang-hicache-best-effort", "tiers.dram.capacity=256 GiB", 'tiers.ssd.capacity="2 TB"'
    ).tiers
    assert (made.dram.capacity, made.ssd.capacity) == (256 * GIB, 2e12)
    assert (made.dram.hbm_ratio, made.dram.block_size) == (0.0, 64)
    assert made.prefetch.policy == "best_effort"


def test_a_ratio_is_of_the_pool_in_hbm():
    (dram,) = specs(TiersSection(dram=TierSection(hbm_ratio=2.0)))
    assert dram.capacity_bytes == 80 * GIB
    assert dram.capacity_blocks == 80 * GIB / (16 * 131072)


@pytest.mark.parametrize("layout", [("layer_first", 64), ("block_first", 1)])
def test_pieces_follow_the_layout(layout):
    (dram,) = specs(TiersSection(dram=TierSection(capacity=1e9, layout=layout[0])))
    assert dram.pieces_per_engine_block == layout[1]


def test_blocks_are_as_large_as_above_unless_said():
    tier = TierSection(capacity=1e12)
    cxl = TierSection(capacity=1e12, block_size=256)
    found = specs(TiersSection(dram=tier, cxl=cxl, ssd=tier))
    assert [spec.block_tokens for spec in found] == [16, 256, 256]


def test_order_is_the_users():
    tier = TierSection(capacity=1e12)
    made = TiersSection(order=["cxl", "dram"], dram=tier, cxl=tier)
    assert made.names() == ["cxl", "dram"]


def test_what_was_resolved_resolves_to_itself():
    for name in PRESETS:
        made = scenario(name, "tiers.loading=cheaper")
        assert validate(made.model_dump(), "again") == made


def test_no_tiers_unless_asked_for():
    assert TiersSection().names() == []
    assert specs(TiersSection()) == ()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (["tiers.dram.capcity=1"], "did you mean capacity"),
        (["tiers.dram.capacity=256GiB"], "256 GiB"),
        (["tiers.dram.capacity=256 XiB"], "one of B kB"),
        (["tiers.dram.capacity=-1"], "greater than or equal to 0"),
        (["tiers.dram.write=sideways"], "'through', 'back' or 'never'"),
        (["tiers.preset=lmcach"], "did you mean lmcache"),
        (["tiers.order=['ssd']"], "`order` lacks dram"),
        (["tiers.order=['tape']"], "is not of dram, cxl, ssd, remote"),
        (["tiers.load=lazy"], "request_async"),
        (["tiers.prefetch.policy=best"], "best_effort"),
        (["tiers.dram.compression=0.5"], "greater than or equal to 1"),
    ],
)
def test_bad_keys_and_values_are_told_in_a_line(settings, what):
    with pytest.raises(BadInput) as error:
        scenario("vllm-offloading", *settings)
    assert what in error.value.line()


@pytest.mark.parametrize(
    ("tier", "what"),
    [
        ({"eviction": "lruu"}, "did you mean lru"),
        ({"eviction": {"ttl_s": 3}}, "names no policy"),
        ({"eviction": "lfu", "ttl_s": 3.0}, "ttl_s"),
        ({"block_size": 24}, "multiple of 16"),
    ],
)
def test_tiers_that_cannot_be_built_are_refused(tier, what):
    with pytest.raises(BadInput, match=what):
        specs(TiersSection(dram=TierSection(capacity=1e12, **tier)))


def test_a_tier_smaller_than_a_block_is_refused():
    found = specs(TiersSection(dram=TierSection(capacity=1e6)))
    with pytest.raises(BadInput, match="room for 0 blocks"):
        make_hierarchies(TiersSection(), found, 16, 1.0, 1)


def test_a_lifetime_is_lrus():
    (dram,) = specs(TiersSection(dram=TierSection(capacity=1e12, ttl_s=7.0)))
    assert (dram.eviction.name, dram.eviction.ttl_s) == ("ttl", 7.0)


def test_loading_takes_parameters():
    made = TiersSection(loading={"name": "budgeted", "tokens": 512.0})
    assert make_loading(made).tokens == 512


def test_every_key_is_listed_with_its_meaning():
    found = {name: meaning for name, _, meaning in keys()}
    for key in TierSection.model_fields:
        assert found[f"tiers.dram.{key}"]
    for name in NAMES[1:]:
        assert found[f"tiers.{name}"] == "the keys of tiers.dram"


def test_ones_own_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[tiers.dram]\ncapacity = "1 GiB"\n')
    assert scenario(str(path)).tiers.dram.capacity == GIB
    path.write_text("[tiers.dram\n")
    with pytest.raises(BadInput, match="broken TOML"):
        load_preset(str(path), "test")
    path.write_text("[tier.dram]\n")
    with pytest.raises(BadInput, match="unknown key"):
        load_preset(str(path), "test")
    path.write_text('name = "x"\n')
    with pytest.raises(BadInput, match="no table"):
        load_preset(str(path), "test")
