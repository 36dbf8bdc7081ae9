"""Tiers in tokens of one byte, prompts of chained names, and a driver that ends copies at once."""

import numpy as np

from tierlab.policies.registry import make_policy
from tierlab.simulator.tiers.hierarchy import Hierarchy
from tierlab.simulator.tiers.spec import TierSpec
from tierlab.simulator.tiers.tier import Tier

ENGINE = 16


def spec(name="dram", blocks=10, block_tokens=ENGINE, eviction="lru", **more):
    more.setdefault("token_bytes", 1.0)
    capacity = blocks * block_tokens * more["token_bytes"] / more.get("compression", 1.0)
    made = make_policy("reuse", eviction, {}, "test") if isinstance(eviction, str) else eviction
    return TierSpec(name, capacity, block_tokens, eviction=made, **more)


def build(*specs, **more):
    return Hierarchy([Tier(each, ENGINE) for each in specs], ENGINE, **more)


def names(family, length, shared=None):
    """Return chained names: the first `shared` blocks of a family, then blocks of its own."""
    shared = length if shared is None else shared
    own = 10**6 * (family + 1) + 1000 * shared
    ids = [1000 * family + i + 1 if i < shared else own + i for i in range(length)]
    return np.array(ids, np.int64)


def finish(tiers, moves, now_s=0.0):
    """End copies, and those that follow; return all of them."""
    done = []
    while moves:
        done += moves
        moves = [more for move in moves for more in tiers.end_move(move, now_s)]
    return done


def serve(tiers, prompt, hbm=0, now_s=0.0, chunk=1000):
    """Let one request come and go, copies taking no time; return the blocks that it loaded.

    Its prompt is computed in chunks of so many blocks, each copied before the next.
    """
    tiers.requested(prompt, now_s)
    found = tiers.lookup(prompt, hbm, len(prompt), now_s)
    load = tiers.begin_load(found, found.blocks, now_s)
    finish(tiers, tiers.end_load(load, now_s), now_s)
    for start in range(0, len(prompt), chunk):
        stop = min(start + chunk, len(prompt))
        finish(tiers, tiers.computed(prompt, start, stop, now_s), now_s)
    return found.blocks
