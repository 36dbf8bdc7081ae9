import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.policies.cache.sim import CacheSim
from tierlab.policies.reuse.lru import Lru
from tierlab.simulator.curves.count import requests_of
from tierlab.simulator.scenario.schema import EngineSection
from tierlab.simulator.sizing.reach import replica_reach, shared_reach

TOKEN_BYTES = 100.0
BLOCK_BYTES = 1600.0


def brute_force(trace, blocks):
    return CacheSim(Lru(), blocks).run_requests(requests_of(trace), prefix=True)


@pytest.mark.parametrize("seed", range(4))
def test_every_size_hits_what_a_cache_of_it_does(log, prompts, seed):
    trace = log(prompts(seed))
    reach = shared_reach(trace, TOKEN_BYTES)
    assert reach.block_bytes == BLOCK_BYTES
    for blocks in range(1, reach.every_block + 3):
        counted = brute_force(trace, blocks).hit_ratio
        assert reach.hit_ratio(blocks * BLOCK_BYTES) == pytest.approx(counted, abs=1e-12)
        assert reach.hit_ratio(blocks * BLOCK_BYTES + 1599) == reach.hit_ratio(blocks * BLOCK_BYTES)


@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_size_is_the_first_of_all_sizes_that_reaches_the_ratio(log, prompts, seed):
    trace = log(prompts(seed))
    reach = shared_reach(trace, TOKEN_BYTES)
    ratios = [brute_force(trace, blocks).hit_ratio for blocks in range(1, reach.every_block + 1)]
    for wanted in np.linspace(0.01, max(ratios), 23):
        first = 1 + next(k for k, r in enumerate(ratios) if r >= wanted - 1e-12)
        assert reach.blocks_for(float(wanted)) == first
    assert reach.blocks_for(reach.unlimited) == reach.most_blocks == 1 + ratios.index(max(ratios))


def test_round_robin_replicas_see_every_other_request(log, prompts):
    trace = log(prompts(5, n=80))
    reach = replica_reach(trace, EngineSection(replicas=2), TOKEN_BYTES)
    halves = [trace.take(np.arange(k, 80, 2)) for k in (0, 1)]
    for blocks in (1, 3, 8, 20, 40):
        counts = [brute_force(half, blocks) for half in halves]
        hits = sum(int(c.hits.sum()) for c in counts)
        assert reach.hit_ratio(blocks * BLOCK_BYTES) == hits / sum(c.accesses for c in counts)
    assert reach.unlimited < shared_reach(trace, TOKEN_BYTES).unlimited


def test_a_router_that_looks_at_load_is_refused(log, prompts):
    with pytest.raises(BadInput, match=r"engine.routing: 'least_loaded'.*round_robin"):
        replica_reach(log(prompts(0)), EngineSection(replicas=2, routing="least_loaded"), 1.0)


def test_an_unreachable_ratio_names_the_reachable_one(log, prompts):
    reach = shared_reach(log(prompts(0)), TOKEN_BYTES)
    best = reach.unlimited
    with pytest.raises(BadInput, match=f"gives {best:.4f}"):
        reach.blocks_for(best + 1e-6)
    assert reach.blocks_for(float(np.floor(best * 1e4) / 1e4)) <= reach.most_blocks


@pytest.mark.shared("traces/mooncake/conversation_trace.jsonl")
def test_mooncake_agrees_with_the_published_column(shared_dir):
    from tierlab.traces.read import read_log

    trace = read_log(str(shared_dir / "traces/mooncake/conversation_trace.jsonl")).trace
    reach = shared_reach(trace, TOKEN_BYTES)
    published = {
        1_000: 0.0445,
        3_000: 0.0650,
        10_000: 0.2112,
        30_000: 0.3257,
        50_000: 0.3546,
        100_000: 0.3637,
    }
    for blocks, ratio in published.items():
        assert reach.hit_ratio(blocks * reach.block_bytes) == pytest.approx(ratio, abs=0.00006)
    assert reach.unlimited == pytest.approx(0.366, abs=0.0005)
    assert reach.every_block == 182_790
