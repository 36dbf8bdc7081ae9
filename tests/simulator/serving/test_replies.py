"""Replies as part of the next prompt: blocks of 16 tokens, ids of 16 tokens."""

import pytest


def talk(trace, first, output, second, ids=16, diverges_at=None):
    """A session of two turns; the second prompt begins with the first one's ids."""
    one = list(range(first // ids))
    two = list(range(second // ids))
    if diverges_at is not None:
        two[diverges_at:] = [1000 + i for i in range(len(two) - diverges_at)]
    return trace(
        [0.0, 500.0], [first, second], [output, 2], session=[0, 0], block_tokens=ids, ids=[one, two]
    )


def reused(served, requests, share, **engine):
    run = served(requests, design="vllm", workload={"reuse_output": share}, **engine)
    return int(run.requests.reused[1])


@pytest.mark.parametrize(
    ("first", "output"), [(64, 32), (64, 33), (64, 47), (64, 48), (70, 40), (79, 33), (65, 31)]
)
@pytest.mark.parametrize(("share", "part"), [("none", 0), (0.5, 0.5), ("all", 1)])
def test_the_first_new_blocks_are_as_many_as_the_reply_fills(
    trace, served, first, output, share, part
):
    requests = talk(trace, first, output, 320)
    assert reused(served, requests, share) == (first // 16 + int(part * output / 16)) * 16


def test_no_more_than_the_next_prompt_holds(trace, served):
    assert reused(served, talk(trace, 64, 200, 112), "all") == 96


def test_ids_of_larger_blocks_than_the_engines(trace, served):
    """The ids of 70 tokens cover one block of 64, which is four of the engine's."""
    assert reused(served, talk(trace, 70, 80, 320, ids=64), "all") == 64 + 80


def test_new_blocks_begin_where_the_prompts_part(trace, served):
    assert reused(served, talk(trace, 128, 48, 320, diverges_at=3), "all") == (3 + 3) * 16


def test_a_design_that_keeps_nothing_reuses_no_reply(trace, served):
    run = served(talk(trace, 64, 64, 320), workload={"reuse_output": "all"})
    assert run.ledger.reused["hbm"] == 0


def test_without_ids_no_reply_is_reused(trace, served):
    plain = trace([0.0, 500.0], [64, 320], [64, 2], session=[0, 0])
    assert reused(served, plain, "all") == 0


def test_another_session_does_not_find_the_reply(trace, served):
    requests = trace(
        [0.0, 500.0],
        [64, 320],
        [64, 2],
        block_tokens=16,
        ids=[list(range(4)), list(range(20))],
    )
    assert reused(served, requests, "all") == 64


def test_a_reply_stays_on_its_replica(trace, served):
    requests = talk(trace, 64, 64, 320)
    assert reused(served, requests, "all", replicas=2) == 0
    assert reused(served, requests, "all", replicas=2, routing="session_sticky") == 128


@pytest.mark.parametrize(("free", "found"), [(17, 8), (15, 6), (14, 5), (12, 3)])
def test_a_reply_is_evicted_before_the_prompt_it_follows(trace, served, free, found):
    """The first leaves 8 blocks, 4 of them its reply; another request takes 9 of all."""
    requests = trace(
        [0.0, 100.0, 500.0],
        [64, 143, 160],
        [64, 2, 2],
        session=[0, 1, 0],
        block_tokens=16,
        ids=[list(range(4)), [100 + i for i in range(8)], list(range(10))],
    )
    run = served(requests, blocks=free + 1, design="vllm", workload={"reuse_output": "all"})
    assert run.requests.reused.tolist() == [0, 0, found * 16]


def test_a_preempted_request_leaves_its_reply_too(trace, served):
    requests = trace(
        [0.0, 0.0, 900.0],
        [32, 32, 96],
        [40, 40, 2],
        session=[0, 1, 1],
        block_tokens=16,
        ids=[[0, 1], [50, 51], [50, 51, 60, 61, 62, 63]],
    )
    run = served(requests, blocks=9, design="vllm", workload={"reuse_output": "all"})
    assert run.requests.preemptions.tolist() == [0, 1, 0]
    assert run.requests.reused[2] == (2 + 2) * 16
