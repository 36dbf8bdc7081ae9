"""Random streams of requests and of copies that end in any order, against slow models."""

import runpy
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.simulator.tiers.spec import Limits, PrefetchSpec

DRIVER = runpy.run_path(str(Path(__file__).with_name("driver.py")))
build, finish, names, serve, spec = (
    DRIVER[each] for each in ("build", "finish", "names", "serve", "spec")
)

POLICIES = st.sampled_from(["lru", "fifo", "lfu", "arc", "s3-fifo", "sieve"])
LONGEST = 12
PROMPT = st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(1, LONGEST))
STEP = st.tuples(
    st.sampled_from(["compute", "load", "end", "end", "cancel", "hbm", "prefetch", "unload"]),
    PROMPT,
    st.integers(0, 30),
)
TIER = st.fixed_dictionaries(
    {
        "blocks": st.integers(20, 30),
        "eviction": POLICIES,
        "write": st.sampled_from(["through", "back", "never"]),
        "promote": st.booleans(),
        "staged": st.booleans(),
        "inclusive": st.booleans(),
        "store_after_uses": st.integers(1, 2),
        "staging_blocks": st.sampled_from([2, 1000]),
        "touch_all": st.booleans(),
    }
)


def prompt(drawn):
    family, shared, length = drawn
    return names(family, length, min(shared, length))


def made(tiers, sizes):
    """Return a hierarchy; exclusive tiers get one block size and no write-through."""
    exclusive = any(not tier["inclusive"] for tier in tiers)
    specs = []
    for at, (tier, size) in enumerate(zip(tiers, sorted(sizes), strict=True)):
        tokens = 16 if exclusive else 16 * 2**size
        write = "back" if tier["write"] == "through" and not tier["inclusive"] else tier["write"]
        specs.append(spec(f"t{at}", block_tokens=tokens, **{**tier, "write": write}))
    ahead = PrefetchSpec("best_effort", threshold_tokens=16, batch_blocks=2)
    return build(*specs, limits=Limits(), prefetch=ahead)


class Play:
    """A stream of what an engine may say, with everything under way."""

    def __init__(self, tiers):
        self.tiers, self.moves, self.loads = tiers, [], []
        self.arrived = [set() for _ in tiers.tiers]

    def end(self, at, cancel):
        move = self.moves.pop(at % len(self.moves))
        if cancel:
            self.tiers.cancel_move(move)
            return
        self.arrived[move.target] |= set(move.ids.tolist())
        self.moves += self.tiers.end_move(move, 0.0)

    def step(self, verb, ids, number):
        if verb == "compute":
            start = number % len(ids)
            self.moves += self.tiers.computed(ids, start, len(ids), 0.0)
        elif verb == "hbm":
            self.moves += self.tiers.evicted_from_hbm(ids[::-1], 0.0)
        elif verb in ("end", "cancel") and self.moves:
            self.end(number, verb == "cancel")
        elif verb == "load":
            self.tiers.requested(ids, 0.0)
            found = self.tiers.lookup(ids, number % len(ids), len(ids), 0.0)
            self.check_found(ids, number % len(ids), found)
            self.loads.append((self.tiers.begin_load(found, found.blocks, 0.0), ids))
        elif verb == "unload" and self.loads:
            self.unload(*self.loads.pop(number % len(self.loads)))
        elif verb == "prefetch":
            ahead = self.tiers.plan_prefetch(ids, 0, len(ids), 0.0)
            self.moves += ahead.moves if ahead else []
        self.check()

    def unload(self, load, ids):
        for leg in load.legs:
            here = set(self.tiers.tiers[leg.index].store.names().tolist())
            assert set(leg.ids.tolist()) <= here
        before = list(self.moves)
        self.moves += self.tiers.end_load(load, 0.0)
        assert self.moves[: len(before)] == before
        self.arrived[0] |= set(self.ready(0))

    def ready(self, at):
        store = self.tiers.tiers[at].store
        here = store.names()
        return here[store.ready(here)].tolist()

    def check_found(self, ids, start, found):
        """Compare with a walk over the blocks, one by one."""
        ready = [set(self.ready(at)) for at in range(len(self.tiers.tiers))]
        walk = []
        for block in range(start, len(ids)):
            for at, tier in enumerate(self.tiers.tiers):
                last = (block // tier.blocks + 1) * tier.blocks - 1
                if last < len(ids) and int(ids[last]) in ready[at]:
                    walk.append(at)
                    break
            else:
                break
        assert [at for at, first, last in found.segments for _ in range(first, last)] == walk

    def check(self):
        for at, tier in enumerate(self.tiers.tiers):
            space = tier.occupancy()
            assert space["guarded_blocks"] <= space["blocks"] <= space["capacity_blocks"]
            assert space["physical_bytes"] <= space["capacity_bytes"]
            assert 0 <= tier.staged <= tier.spec.staging_blocks
            coming = {b for m in self.moves if m.target == at for b in m.ids.tolist()}
            here = set(tier.store.names().tolist())
            assert coming <= here
            ready = set(self.ready(at))
            assert not coming & ready
            assert ready <= self.arrived[at]

    def drain(self):
        while self.loads:
            self.unload(*self.loads.pop())
        while self.moves:
            self.end(0, False)


@given(
    st.lists(TIER, min_size=1, max_size=3).flatmap(
        lambda tiers: st.tuples(
            st.just(tiers), st.lists(st.integers(0, 2), min_size=len(tiers), max_size=len(tiers))
        )
    ),
    st.lists(STEP, min_size=1, max_size=60),
)
@settings(max_examples=300, deadline=None)
def test_whatever_happens_space_and_pins_and_hits_are_sound(shape, steps):
    tiers = made(*shape)
    play = Play(tiers)
    for verb, drawn, number in steps:
        play.step(verb, prompt(drawn), number)
    play.drain()
    for tier in tiers.tiers:
        assert (tier.store.guarded, tier.staged) == (0, 0)
    assert tiers._prefetching == 0
    for tier in tiers.tiers[1:]:
        if not tier.spec.inclusive:
            assert tiers.duplicates()[tier.spec.name] == 0


def lru_hits(requests, capacity):
    """Count hits of one LRU cache of blocks, the prompt's start used last."""
    order, hits = [], 0
    for ids in (each.tolist() for each in requests):
        run = next((i for i, b in enumerate(ids) if b not in order), len(ids))
        hits += run
        for block in ids[::-1]:
            if block in order:
                order.remove(block)
        order = [*order, *ids[::-1]][-capacity:]
    return hits


@given(
    st.lists(PROMPT, min_size=1, max_size=40),
    st.integers(LONGEST, 30),
    st.integers(1, 30),
    st.integers(0, 2),
    st.sampled_from([4, 1000]),
)
@settings(max_examples=150, deadline=None)
def test_an_inclusive_lru_hierarchy_never_hits_less_when_a_tier_grows(
    drawn, small, more, which, chunk
):
    requests = [prompt(each) for each in drawn]

    def hits(sizes):
        tiers = build(*(spec(f"t{at}", blocks=size) for at, size in enumerate(sizes)))
        return [serve(tiers, ids, chunk=chunk) for ids in requests]

    sizes = [small, small + 2, small + 4]
    grown = list(sizes)
    grown[which] += more
    before, after = hits(sizes), hits(grown)
    assert all(a <= b for a, b in zip(before, after, strict=True))
    assert sum(before) == lru_hits(requests, max(sizes))


def test_a_first_tier_smaller_than_a_prompt_filters_for_those_below():
    """The one way in which a larger tier hits less: it lets more pass to the tier below."""
    requests = [prompt(each) for each in [(1, 1, 1), (0, 0, 2), (0, 1, 2), (0, 2, 2), (1, 1, 1)]]

    def hits(first):
        tiers = build(spec(blocks=first), spec("cxl", blocks=3), spec("ssd", blocks=5))
        return [serve(tiers, ids) for ids in requests]

    assert hits(1) == [0, 0, 0, 1, 1]
    assert hits(2) == [0, 0, 0, 1, 0]
