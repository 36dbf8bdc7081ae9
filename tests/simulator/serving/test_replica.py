from functools import partial

import numpy as np
import pytest

from tierlab.simulator.metrics.latency import Latencies
from tierlab.simulator.serving import replica
from tierlab.simulator.serving.engine import loop
from tierlab.simulator.serving.requests import DONE, REJECTED


def test_a_lone_request_takes_its_prefill_and_one_step_per_further_token(trace, served):
    run = served(trace([0.0], [100], [5]), step_s=1.0, token_s=0.01)
    assert run.requests.first_token_s[0] == pytest.approx(100 * 0.01 + 1.0)
    assert run.requests.last_token_s[0] == pytest.approx(100 * 0.01 + 5.0)


def test_a_prompt_beyond_the_budget_is_prefilled_in_chunks_of_one_step_each(trace, served):
    run = served(trace([0.0], [1000], [1]), step_s=1.0, max_num_batched_tokens=300)
    assert run.requests.first_token_s[0] == pytest.approx(4.0)
    steps = run.record.columns()
    assert steps["prefill_tokens"].tolist() == [300, 300, 300, 100]


def test_decodes_and_a_prefill_share_a_step(trace, served):
    run = served(trace([0.0, 1.5], [10, 10], [4, 4]), step_s=1.0)
    assert run.requests.scheduled_s[1] == pytest.approx(2.0)
    mixed = run.record.columns()
    assert (mixed["decodes"][1:3].tolist(), mixed["prefills"][1:3].tolist()) == ([1, 1], [0, 1])
    assert run.requests.last_token_s.tolist() == pytest.approx([4.0, 6.0])


def test_an_arrival_in_the_middle_of_a_step_waits_for_its_end(trace, served):
    run = served(trace([0.0, 5.25], [10, 10], [50, 1]), step_s=1.0)
    assert run.requests.scheduled_s[1] == pytest.approx(6.0)
    assert run.requests.first_token_s[1] == pytest.approx(7.0)


def test_max_num_seqs_makes_the_next_request_queue(trace, served):
    run = served(trace([0.0, 0.0], [10, 10], [5, 5]), max_num_seqs=1)
    assert run.requests.scheduled_s.tolist() == pytest.approx([0.0, 5.0])


def test_the_token_budget_is_never_exceeded(trace, served):
    run = served(trace([0.0] * 20, [70] * 20, [9] * 20), max_num_batched_tokens=64)
    steps = run.record.columns()
    assert (steps["decodes"] + steps["prefill_tokens"]).max() <= 64
    assert (run.requests.status == DONE).all()


def test_macro_steps_give_the_times_of_single_steps(trace, served):
    """Requests that keep arriving split every macro-step; the others' times must not move."""
    alone = served(trace([0.0, 0.0], [10, 20], [200, 150]), step_s=0.5)
    ticks = [0.5 * i for i in range(1, 60)]
    rejected = [9000] * len(ticks)
    split = served(
        trace([0.0, 0.0, *ticks], [10, 20, *rejected], [200, 150, *[1] * len(ticks)]), step_s=0.5
    )
    assert (split.requests.status[2:] == REJECTED).all()
    np.testing.assert_allclose(
        split.requests.last_token_s[:2], alone.requests.last_token_s, rtol=1e-9
    )


def test_a_full_pool_preempts_the_last_admitted_and_recomputes_it(trace, served):
    run = served(trace([0.0, 0.0], [32, 32], [40, 40]), blocks=6, block_size=16)
    r = run.requests
    assert r.preemptions.tolist() == [0, 1]
    assert r.recomputed[0] == 0
    assert r.recomputed[1] >= 32
    assert (r.status == DONE).all()
    assert run.ledger.recomputed == r.recomputed.sum()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_preempted_request_is_one_chunk_and_then_decodes(trace, served, asynchronous):
    """Of each request, one chunk computes the prompt; of each preemption, one what was lost."""
    run = served(
        trace([0.0, 0.0], [32, 32], [40, 40]),
        blocks=6,
        block_size=16,
        async_scheduling=asynchronous,
    )
    steps = run.record.columns()
    assert (steps["prefills"] * steps["steps"]).sum() == 2 + run.requests.preemptions.sum() == 3
    assert steps["prefill_tokens"].sum() == 64 + run.requests.recomputed.sum() + 1
    tokens = (steps["decodes"] * steps["steps"]).sum() + 3
    assert tokens == run.ledger.output == 80


def test_a_request_larger_than_the_pool_is_rejected_with_its_reason(trace, served):
    run = served(trace([0.0, 1.0], [500, 10], [1, 1]), blocks=8, block_size=16)
    assert run.requests.reason.tolist() == [2, 0]
    assert run.requests.status.tolist() == [REJECTED, DONE]


def test_a_request_beyond_the_context_is_rejected_with_its_reason(trace, served):
    run = served(trace([0.0], [8192], [1]))
    assert run.requests.reason.tolist() == [1]


def test_exactly_at_the_context_is_accepted(trace, served):
    run = served(trace([0.0], [8191], [1]))
    assert run.requests.status.tolist() == [DONE]


def test_gaps_between_tokens_are_steps_and_the_wait_of_a_preempted_request(trace, served):
    run = served(trace([0.0, 0.0], [32, 32], [40, 40]), blocks=6, block_size=16)
    gaps, weights = run.record.token_gaps()
    assert weights.sum() == 78
    total = (run.requests.last_token_s - run.requests.first_token_s).sum()
    assert (gaps * weights).sum() == pytest.approx(total)


def test_a_closed_loop_turn_arrives_a_think_time_after_the_answer(trace, served):
    requests = trace([0.0, 0.5], [10, 30], [5, 5], session=[0, 0], think_s=[np.nan, 7.0])
    run = served(requests, arrivals="closed")
    assert run.requests.arrival_s.tolist() == pytest.approx([0.0, 5.0 + 7.0])
    assert Latencies.of(run.requests).queue_s.tolist() == pytest.approx([0.0, 0.0])


def test_a_rejected_turn_ends_its_session(trace, served):
    requests = trace(
        [0.0, 1.0, 2.0], [10, 9000, 20], [5, 5, 5], session=[0, 0, 0], think_s=[np.nan, 1.0, 1.0]
    )
    run = served(requests, arrivals="closed")
    assert run.requests.status.tolist() == [DONE, REJECTED, REJECTED]
    assert run.requests.reason.tolist() == [0, 1, 3]


def test_an_output_of_zero_tokens_still_emits_one(trace, served):
    run = served(trace([0.0], [10], [0]))
    assert run.ledger.output == 1


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_attention_reads_the_context_of_each_step(trace, served, asynchronous):
    """Two prompts of 32 tokens in 5 blocks: the second loses its KV.

    The chunk that computes it again reads what the decode in its place would have read.
    """
    run = served(
        trace([0.0, 0.0], [32, 32], [40, 40]),
        blocks=6,
        block_size=16,
        async_scheduling=asynchronous,
    )
    assert run.requests.preemptions.sum() == 1
    per_token = run.parts.pool.block_bytes / 16
    assert run.record.attention_bytes / per_token == pytest.approx(2 * (32 + sum(range(33, 72))))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("arrivals", ["open", "closed"])
def test_more_steps_than_the_loop_lists_at_once(trace, served, arrivals, asynchronous):
    """Every step ends a request, and something follows from each."""
    n = 5_000
    made = trace([0.5 * i for i in range(n)], [10] * n, [1] * n)
    run = served(
        made, step_s=0.7, arrivals=arrivals, async_scheduling=asynchronous, max_num_seqs=64
    )
    steps = run.record.columns()
    assert steps["prefills"].sum() == n
    assert (run.requests.status == DONE).all()


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_plain_python_does_what_the_compiled_loop_does(trace, served, monkeypatch):
    """Python checks every index, which compiled code does not."""
    rng = np.random.default_rng(5)
    n = 60
    session = np.unique(rng.integers(0, 9, n), return_inverse=True)[1]
    prompt = 32 * rng.integers(1, 9, n)
    made = trace(
        np.sort(rng.uniform(0, 90, n)).tolist(),
        prompt.tolist(),
        rng.integers(1, 60, n).tolist(),
        session.tolist(),
        block_tokens=32,
        ids=[[s * 100 + i for i in range(p // 32)] for s, p in zip(session, prompt, strict=True)],
    )

    def run():
        return served(
            made, step_s=0.3, design="vllm", blocks=40, async_scheduling=True, max_num_seqs=6
        )

    class Plain:
        def __init__(self, core, clock, times):
            self.advance = partial(loop.advance, core, times)

    compiled = run()
    monkeypatch.setattr(replica, "Engine", Plain)
    plain = run()
    assert compiled.requests.preemptions.sum() > 0
    for name in ("scheduled_s", "first_token_s", "last_token_s", "reused", "recomputed"):
        one, two = getattr(plain.requests, name), getattr(compiled.requests, name)
        np.testing.assert_allclose(one, two, rtol=1e-12, err_msg=name)
