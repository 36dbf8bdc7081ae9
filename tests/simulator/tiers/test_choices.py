"""The splits of a hit, and what is decided over them."""

import runpy
from pathlib import Path

import numpy as np

from tierlab.policies.registry import make_policy
from tierlab.simulator.tiers.choices import choices
from tierlab.simulator.tiers.moves import Found, Segment

DRIVER = runpy.run_path(str(Path(__file__).with_name("driver.py")))
build, finish, names, spec = (DRIVER[each] for each in ("build", "finish", "names", "spec"))


def found(*segments, start=2):
    return Found(names(0, 100), start, tuple(Segment(*each) for each in segments))


def test_every_split_says_what_each_tier_sends():
    tiers = build(
        spec(pieces_per_engine_block=3), spec("ssd", token_bytes=4.0, compression=2.0, blocks=99)
    )
    made = choices(tiers, found((0, 2, 5), (1, 5, 9), (0, 9, 10)), most=4)
    assert made.blocks.tolist() == [0, 2, 3, 4, 6, 7, 8]
    assert made.tokens.tolist() == [0, 32, 48, 64, 96, 112, 128]
    assert made.nbytes[:, 0].tolist() == [0, 32, 48, 48, 48, 48, 64]
    assert made.nbytes[:, 1].tolist() == [0, 0, 0, 32, 96, 128, 128]
    assert made.pieces[:, 0].tolist() == [0, 6, 9, 9, 9, 9, 12]


def test_a_load_of_a_split_sends_what_the_split_says():
    tiers = build(spec(blocks=3), spec("ssd", blocks=99))
    prompt = names(0, 3)
    finish(tiers, tiers.computed(prompt, 0, 3, 0.0))
    finish(tiers, tiers.computed(names(1, 2), 0, 2, 0.0))
    hit = tiers.lookup(prompt, 0, 3, 0.0)
    made = choices(tiers, hit)
    for blocks, row in zip(made.blocks.tolist(), made.nbytes, strict=True):
        load = tiers.begin_load(hit, blocks, 0.0)
        assert load.nbytes == row.sum()
        tiers.cancel_load(load)


def test_nothing_found_is_one_choice():
    made = choices(build(spec()), found())
    assert made.blocks.tolist() == [0]
    seen = made.view(np.zeros(1), np.ones(1))
    for name in ("always_load", "always_recompute", "cheaper", "budgeted"):
        assert make_policy("loading", name, {}, "test").decide(seen) == 0


def test_an_infinitely_slow_tier_is_recomputed_and_an_infinitely_fast_one_loaded():
    tiers, hit = build(spec(), spec("ssd", blocks=99)), found((0, 2, 6), (1, 6, 10))
    made = choices(tiers, hit)
    recompute_s = (8 - made.blocks) * 1e-3
    slow = np.where(made.nbytes[:, 1] > 0, np.inf, 0.0)
    cheaper = make_policy("loading", "cheaper", {}, "test")
    assert made.blocks[cheaper.decide(made.view(slow, recompute_s))] == 4
    assert made.blocks[cheaper.decide(made.view(np.zeros(len(slow)), recompute_s))] == 8
