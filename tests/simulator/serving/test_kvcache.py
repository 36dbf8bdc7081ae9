"""The prefix cache of a replica, as runs show it."""

import pytest


def prompts(trace, ids, tokens, output=2):
    n = len(ids)
    at = [100.0 * i for i in range(n)]
    return trace(at, tokens, [output] * n, block_tokens=16, ids=ids)


def test_a_freed_leaf_is_evicted_before_its_parents(trace, served):
    """The first leaves 6 blocks and the second takes 7 of the 10: three leaves go."""
    a, b = list(range(6)), [100 + i for i in range(6)]
    run = served(prompts(trace, [a, b, a], [97, 97, 97]), blocks=11, design="vllm")
    assert run.requests.reused.tolist() == [0, 0, 3 * 16]
    assert run.caches[0].evicted >= 3


def test_a_full_hit_recomputes_its_last_block(trace, served):
    ids = list(range(4))
    run = served(prompts(trace, [ids, ids, [*ids, 9]], [64, 64, 80]), design="vllm")
    assert run.requests.reused.tolist() == [0, 48, 64]


def test_the_null_block_holds_nothing(trace, served):
    run = served(trace([0.0], [10], [1]), blocks=10)
    assert run.caches[0].size == 9


def test_without_sharing_nothing_is_ever_found(trace, served):
    ids = list(range(4))
    run = served(prompts(trace, [ids, ids], [64, 64]))
    assert run.caches[0].blocks_hit == 0


@pytest.mark.parametrize(("tokens", "blocks"), [(1, 1), (16, 1), (17, 2), (160, 10)])
def test_blocks_are_the_tokens_rounded_up(trace, served, tokens, blocks):
    cache = served(trace([0.0], [10], [1])).caches[0]
    assert cache.blocks_for(tokens) == blocks
