"""What tiers do, one rule at a time, copies ending when the test says so."""

import doctest
import runpy
from pathlib import Path

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput, BrokenLaw
from tierlab.policies.reuse.ttl import Ttl
from tierlab.simulator.tiers import hierarchy
from tierlab.simulator.tiers.spec import Limits, PrefetchSpec, check

DRIVER = runpy.run_path(str(Path(__file__).with_name("driver.py")))
build, finish, names, serve, spec = (
    DRIVER[each] for each in ("build", "finish", "names", "serve", "spec")
)


def held(tiers, at=0):
    return tiers.tiers[at].store.names().tolist()


def test_the_example_in_the_docstring_holds():
    found = doctest.testmod(hierarchy)
    assert found.attempted > 0
    assert found.failed == 0


def test_a_block_is_no_hit_before_its_copy_ended():
    tiers, prompt = build(spec()), names(0, 3)
    (move,) = tiers.computed(prompt, 0, 3, 0.0)
    assert (move.cause, move.tokens, move.nbytes, move.pieces) == ("store", 48, 48.0, 3)
    found = tiers.lookup(prompt, 0, 3, 0.0)
    assert (found.blocks, tiers.arriving(found, 3)) == (0, 3)
    assert tiers.occupancy()["dram"]["physical_bytes"] == 48
    assert tiers.computed(prompt, 0, 3, 0.0) == []
    tiers.end_move(move, 1.0)
    assert tiers.lookup(prompt, 0, 3, 1.0).blocks == 3
    with pytest.raises(BrokenLaw, match="twice"):
        tiers.end_move(move, 2.0)


def test_a_copy_that_is_cancelled_leaves_its_space():
    tiers, prompt = build(spec(blocks=3)), names(0, 3)
    (move,) = tiers.computed(prompt, 0, 3, 0.0)
    tiers.cancel_move(move)
    assert (held(tiers), tiers.counts()["dram"]["cancelled"]) == ([], 3)
    assert len(tiers.computed(prompt, 0, 3, 0.0)) == 1


def test_what_is_read_cannot_be_evicted_and_what_does_not_fit_is_refused():
    tiers, prompt, other = build(spec(blocks=3)), names(0, 3), names(1, 4)
    finish(tiers, tiers.computed(prompt, 0, 3, 0.0))
    load = tiers.begin_load(tiers.lookup(prompt, 1, 3, 0.0), 1, 0.0)
    assert (load.tokens, load.legs[0].start, load.legs[0].stop) == (16, 1, 2)
    (move,) = tiers.computed(other, 0, 4, 0.0)
    assert move.ids.tolist() == other[:1].tolist()
    assert tiers.counts()["dram"]["refused"] == 3
    assert tiers.counts()["dram"]["evicted"] == 1
    tiers.end_load(load, 1.0)
    assert tiers.counts()["dram"]["hit_tokens"] == 16
    with pytest.raises(BrokenLaw, match="twice"):
        tiers.cancel_load(load)


def test_a_load_of_blocks_that_went_meanwhile_is_our_defect():
    tiers = build(spec(blocks=2))
    serve(tiers, names(0, 2))
    found = tiers.lookup(names(0, 2), 0, 2, 0.0)
    serve(tiers, names(1, 2))
    with pytest.raises(BrokenLaw, match="no longer in dram"):
        tiers.begin_load(found, 2, 0.0)


def test_larger_blocks_are_named_by_their_last_and_need_to_be_whole():
    tiers, prompt = build(spec(block_tokens=64)), names(0, 10)
    (move,) = tiers.computed(prompt, 0, 10, 0.0)
    assert (move.ids.tolist(), move.tokens) == (prompt[[3, 7]].tolist(), 128)
    finish(tiers, [move])
    assert tiers.lookup(prompt, 0, 10, 0.0).blocks == 8
    found = tiers.lookup(prompt, 5, 10, 0.0)
    assert found.segments == ((0, 5, 8),)
    assert tiers.begin_load(found, 3, 0.0).legs[0].tokens == 48


def test_chunks_of_a_prompt_join():
    tiers, prompt = build(spec(block_tokens=64)), names(0, 10)
    first = tiers.computed(prompt, 0, 6, 0.0)
    second = tiers.computed(prompt, 6, 10, 0.0)
    assert [m.ids.tolist() for m in first + second] == [[prompt[3]], [prompt[7]]]


def test_written_back_as_evicted():
    tiers, prompt = build(spec(block_tokens=32, write="back")), names(0, 4)
    assert tiers.computed(prompt, 0, 4, 0.0) == []
    assert tiers.evicted_from_hbm(prompt[[2]], 0.0) == []
    (move,) = tiers.evicted_from_hbm(prompt[[3, 1]], 0.0)
    assert (move.cause, sorted(move.ids.tolist())) == ("write_back", prompt[[1, 3]].tolist())
    finish(tiers, [move])
    assert tiers.lookup(prompt, 0, 4, 0.0).blocks == 4
    assert tiers.evicted_from_hbm(prompt, 0.0) == []


def test_written_on_and_demoted():
    through = build(spec(blocks=2), spec("ssd", blocks=100))
    moves = finish(through, through.computed(names(0, 2), 0, 2, 0.0))
    assert [(m.source, m.destination, m.cause) for m in moves] == [
        ("hbm", "dram", "store"),
        ("dram", "ssd", "write_through"),
    ]
    assert through.duplicates() == {"ssd": 2}
    back = build(spec(blocks=2), spec("ssd", blocks=100, write="back"))
    finish(back, back.computed(names(0, 2), 0, 2, 0.0))
    moves = finish(back, back.computed(names(1, 2), 0, 2, 0.0))
    assert [(m.source, m.cause, m.ids.tolist()) for m in moves] == [
        ("dram", "demotion", [1, 2]),
        ("hbm", "store", [1001, 1002]),
    ]
    assert back.lookup(names(0, 2), 0, 2, 0.0).segments == ((1, 0, 2),)
    assert back.counts()["ssd"]["demoted"] == 2
    assert back.counts()["dram"]["lost"] == 0


def test_demotion_waits_in_a_bounded_buffer():
    tiers = build(spec(blocks=4), spec("ssd", blocks=100, write="back", staging_blocks=1))
    finish(tiers, tiers.computed(names(0, 4), 0, 4, 0.0))
    moves = tiers.computed(names(1, 4), 0, 4, 0.0)
    assert [(m.cause, len(m.ids)) for m in moves] == [("demotion", 1), ("store", 4)]
    assert tiers.occupancy()["ssd"]["staged_bytes"] == 16
    assert (tiers.counts()["dram"]["lost"], tiers.counts()["ssd"]["refused"]) == (3, 3)
    finish(tiers, moves)
    assert tiers.occupancy()["ssd"]["staged_bytes"] == 0


def test_demotion_into_larger_blocks_takes_whole_ones():
    tiers = build(spec(blocks=8), spec("ssd", blocks=9, block_tokens=64, write="back"))
    finish(tiers, tiers.computed(names(0, 7), 0, 7, 0.0))
    moves = finish(tiers, tiers.computed(names(1, 8), 0, 8, 0.0))
    assert [m.ids.tolist() for m in moves if m.cause == "demotion"] == [[4]]
    assert held(tiers, 1) == [4]


def test_on_the_nth_use():
    tiers = build(spec(store_after_uses=2), spec("ssd", blocks=99, store_after_uses=3))
    counted = []
    for _ in range(4):
        serve(tiers, names(0, 3))
        counted.append((len(held(tiers)), len(held(tiers, 1))))
    assert counted == [(0, 0), (3, 0), (3, 3), (3, 3)]
    assert tiers.counts()["dram"]["filtered"] == 3
    assert tiers.counts()["ssd"]["filtered"] == 3


def test_one_shot_prompts_do_not_pollute_with_a_threshold():
    def hits(uses):
        tiers = build(spec(blocks=8, store_after_uses=uses))
        return sum(serve(tiers, names(i % 2 and i, 4)) for i in range(20))

    assert hits(2) > 0
    assert build(spec()).counts()["dram"]["filtered"] == 0


def test_promotion_after_a_hit():
    tiers = build(spec(blocks=2), spec("ssd", blocks=99, promote=True))
    serve(tiers, names(0, 2))
    serve(tiers, names(1, 2))
    found = tiers.lookup(names(0, 2), 0, 2, 0.0)
    moves = tiers.end_load(tiers.begin_load(found, 2, 0.0), 0.0)
    assert [(m.source, m.destination, m.cause) for m in moves] == [("ssd", "dram", "promotion")]
    assert tiers.lookup(names(0, 2), 0, 2, 0.0).segments == ((1, 0, 2),)
    finish(tiers, moves)
    assert tiers.lookup(names(0, 2), 0, 2, 0.0).segments == ((0, 0, 2),)
    assert tiers.counts()["dram"]["promoted"] == 2


def test_what_passed_through_the_fastest_tier_is_there_without_another_copy():
    tiers = build(spec(blocks=2), spec("ssd", blocks=99, promote=True, staged=True))
    serve(tiers, names(0, 2))
    serve(tiers, names(1, 2))
    load = tiers.begin_load(tiers.lookup(names(0, 2), 0, 2, 0.0), 2, 0.0)
    assert load.legs[0].path == ("ssd", "dram", "hbm")
    assert tiers.end_load(load, 0.0) == []
    assert held(tiers) == [1, 2]


def test_a_block_in_an_exclusive_tier_leaves_it_for_hbm():
    tiers = build(spec(write="back", inclusive=False))
    prompt = names(0, 3)
    tiers.computed(prompt, 0, 3, 0.0)
    finish(tiers, tiers.evicted_from_hbm(prompt[::-1], 0.0))
    assert serve(tiers, prompt) == 3
    assert held(tiers) == []
    finish(tiers, tiers.evicted_from_hbm(prompt[::-1], 0.0))
    assert held(tiers) == prompt.tolist()


def test_each_block_comes_from_the_fastest_tier_that_has_it():
    tiers = build(spec(blocks=6), spec("ssd", blocks=99))
    prompt = names(0, 6)
    finish(tiers, tiers.computed(prompt, 0, 6, 0.0))
    tiers.tiers[0].store.remove(prompt[[1, 2, 4]])
    found = tiers.lookup(prompt, 0, 6, 0.0)
    assert found.segments == ((0, 0, 1), (1, 1, 3), (0, 3, 4), (1, 4, 5), (0, 5, 6))
    load = tiers.begin_load(found, 2, 0.0)
    assert [(leg.tier, leg.tokens) for leg in load.legs] == [("dram", 16), ("ssd", 16)]


def test_limits_of_a_request():
    limits = Limits(min_load_tokens=33, max_load_tokens=64, max_store_tokens=96)
    tiers = build(spec(), limits=limits)
    finish(tiers, tiers.computed(names(0, 8), 0, 8, 0.0))
    assert held(tiers) == [1, 2, 3, 4, 5, 6]
    assert tiers.lookup(names(0, 8), 0, 8, 0.0).blocks == 4
    assert tiers.lookup(names(0, 8), 4, 8, 0.0).blocks == 0
    assert tiers.computed(names(1, 8), 0, 8, 0.0, prompt=False) == []


def test_time_to_live():
    tiers, prompt = build(spec(eviction=Ttl(10.0))), names(0, 2)
    serve(tiers, prompt, now_s=0.0)
    assert tiers.lookup(prompt, 0, 2, 10.0).blocks == 2
    assert tiers.lookup(prompt, 0, 2, 10.1).blocks == 0
    assert tiers.counts()["dram"]["expired"] == 2


def test_a_watermark_evicts_ahead():
    tiers = build(spec(blocks=10, high_watermark=0.8, evict_share=0.5))
    finish(tiers, tiers.computed(names(0, 8), 0, 8, 0.0))
    assert len(held(tiers)) == 8
    finish(tiers, tiers.computed(names(1, 1), 0, 1, 0.0))
    assert len(held(tiers)) == 4


def test_compression_divides_what_is_stored_and_what_moves():
    tiers = build(spec(compression=4.0, token_bytes=8.0))
    (move,) = tiers.computed(names(0, 4), 0, 4, 0.0)
    assert move.nbytes == 4 * 16 * 8 / 4
    assert tiers.occupancy()["dram"]["logical_bytes"] == 4 * 16 * 8
    finish(tiers, [move])
    load = tiers.begin_load(tiers.lookup(names(0, 4), 0, 4, 0.0), 4, 0.0)
    assert load.nbytes == move.nbytes


PREFETCH = PrefetchSpec("timeout", threshold_tokens=32, batch_blocks=2)


def test_prefetch_in_batches_and_what_came_before_a_stop():
    tiers = build(spec(blocks=4), spec("ssd", blocks=99), prefetch=PREFETCH)
    for family in (0, 1):
        serve(tiers, names(family, 4))
    assert tiers.plan_prefetch(names(0, 1), 0, 1, 0.0) is None
    ahead = tiers.plan_prefetch(names(0, 4), 0, 4, 0.0)
    assert [m.ids.tolist() for m in ahead.moves] == [[1, 2], [3, 4]]
    assert (ahead.tokens, ahead.wait_s) == (64, pytest.approx(2.0 + 0.1 * 64 / 1024))
    tiers.end_move(ahead.moves[0], 0.0)
    assert tiers.stop_prefetch(ahead) == ahead.moves[1:]
    assert tiers.lookup(names(0, 4), 0, 4, 0.0).segments == ((0, 0, 2), (1, 2, 4))
    assert tiers._prefetching == 0
    assert tiers.tiers[1].store.guarded == 0


@pytest.mark.parametrize(
    ("policy", "tokens", "wait_s"),
    [
        ("best_effort", 9, 0.0),
        ("wait_complete", 9, float("inf")),
        ("timeout", 10240, 3.0),
        ("timeout", 10**7, 30.0),
    ],
)
def test_how_long_a_prefetch_is_waited_for(policy, tokens, wait_s):
    assert PrefetchSpec(policy).wait_s(tokens) == pytest.approx(wait_s)


def test_prefetches_share_their_room():
    limit = PrefetchSpec("best_effort", threshold_tokens=16, most_tokens=64)
    tiers = build(spec(blocks=8), spec("ssd", blocks=99), prefetch=limit)
    for family in range(4):
        serve(tiers, names(family, 4))
    assert tiers.plan_prefetch(names(0, 4), 0, 4, 0.0).tokens == 64
    assert tiers.plan_prefetch(names(1, 4), 0, 4, 0.0) is None


def test_a_shared_tier_serves_what_another_replica_stored():
    from tierlab.simulator.tiers.tier import Tier

    pool = Tier(spec("remote", blocks=99, shared=True), 16)
    one, two = (hierarchy.Hierarchy([Tier(spec(), 16), pool], 16) for _ in range(2))
    serve(one, names(0, 3))
    found = two.lookup(names(0, 3), 0, 3, 0.0)
    assert found.segments == ((1, 0, 3),)
    load = two.begin_load(found, 3, 0.0)
    assert pool.store.guarded == 3
    two.cancel_load(load)
    assert pool.store.guarded == 0


@pytest.mark.parametrize(
    ("specs", "what"),
    [
        ([spec(block_tokens=24)], "24 tokens on blocks of 16"),
        ([spec(block_tokens=64), spec("ssd", block_tokens=32)], "multiple of 64"),
        ([spec(inclusive=False)], 'write = "back"'),
        ([spec(), spec("ssd", block_tokens=32, inclusive=False, write="back")], "one block size"),
        ([spec(inclusive=False, write="back", eviction="none")], "cannot give up"),
    ],
)
def test_tiers_that_cannot_stand_on_each_other(specs, what):
    with pytest.raises(BadInput, match=what):
        check(tuple(specs), 16)


def test_nothing_below_hbm_is_nothing():
    tiers = build()
    assert tiers.computed(names(0, 3), 0, 3, 0.0) == []
    assert tiers.lookup(names(0, 3), 0, 3, 0.0).blocks == 0
    assert tiers.evicted_from_hbm(np.array([1]), 0.0) == []
