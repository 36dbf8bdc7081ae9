"""vLLM's KV connectors as tiers below HBM."""

import json

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.fromvllm.scenario import scenario_from_vllm
from tierlab.simulator.serving.run import simulate

H100 = ["hardware=H100", "workload.generator=poisson", "workload.limit=3"]


def command(connector=None, extra=None, **options):
    words = ["vllm", "serve", "meta-llama/Llama-3.1-8B"]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    if connector is not None:
        config = {"kv_connector": connector, "kv_role": "kv_both"}
        config |= {"kv_connector_extra_config": extra} if extra is not None else {}
        words += ["--kv-transfer-config", f"'{json.dumps(config)}'"]
    return " ".join(words)


def made(text):
    return scenario_from_vllm(text, None, H100)


def test_the_offloading_connector():
    extra = {"cpu_bytes_to_use": 1e11, "block_size": 64, "store_threshold": 2}
    extra |= {"eviction_policy": "arc", "max_tracker_size": 1000}
    tiers = made(command("OffloadingConnector", extra))[0].tiers
    dram = tiers.dram
    assert (dram.capacity, dram.block_size, dram.store_after_uses) == (1e11, 64, 2)
    assert (dram.eviction, dram.tracked) == ("arc", 1000)
    assert (tiers.load, tiers.store, tiers.prompt_only) == ("request_async", "async", True)


def test_a_threshold_of_zero_stores_at_the_first_use():
    extra = {"cpu_bytes_to_use": 1e9, "store_threshold": 0}
    assert made(command("OffloadingConnector", extra))[0].tiers.dram.store_after_uses == 1


@pytest.mark.parametrize(
    ("connector", "store"), [("LMCacheConnectorV1", "blocking"), ("LMCacheMPConnector", "async")]
)
def test_lmcache_keeps_its_sizes_to_itself(connector, store):
    scenario, notes = made(command(connector))
    assert (scenario.tiers.load, scenario.tiers.store) == ("blocking", store)
    assert scenario.tiers.dram.capacity == 5e9
    assert any("own configuration" in note for note in notes)


@pytest.mark.parametrize(
    ("backend", "load"), [("native", "request_async"), ("lmcache", "blocking")]
)
def test_vllms_own_option_counts_in_gib(backend, load):
    text = command(kv_offloading_size=20, kv_offloading_backend=backend)
    tiers = made(text)[0].tiers
    assert tiers.dram.capacity == 20 * 2**30
    assert tiers.load == load


def test_nothing_asked_for_is_no_tier():
    assert made(command(kv_offloading_size=0))[0].tiers.names() == made(command())[0].tiers.names()
    assert not made(command())[0].tiers.names()


def test_such_a_scenario_runs():
    scenario = made(command("OffloadingConnector", {"cpu_bytes_to_use": 1e10}))[0]
    assert len(simulate(scenario).tierings) == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (command("NixlConnector"), "kv_connector"),
        (command("OffloadingConnector"), "cpu_bytes_to_use"),
        (command("OffloadingConnector", {"num_cpu_blocks": 1000}), "cpu_bytes_to_use"),
        (command("OffloadingConnector", {"cpu_bytes_to_use": "much"}), "cpu_bytes_to_use"),
        (
            command(
                "OffloadingConnector",
                {"cpu_bytes_to_use": 1e9, "spec_name": "TieringOffloadingSpec"},
            ),
            "spec_name",
        ),
        (command(kv_transfer_config="nonsense"), "kv_transfer_config"),
        (command("LMCacheConnectorV1").replace("kv_both", "kv_producer"), "kv_role"),
        (command(kv_offloading_size=5, kv_offloading_backend="disk"), "kv_offloading_backend"),
        (command(kv_offloading_size="lots"), "kv_offloading_size"),
        (command(kv_offloading_size=5) + " --no-enable-prefix-caching", "enable_prefix_caching"),
    ],
)
def test_what_no_preset_imitates_is_refused(text, named):
    with pytest.raises(BadInput, match=named):
        made(text)
