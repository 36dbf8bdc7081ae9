"""How much is loaded: what every policy must do, and what each of them decides."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.policies.protocol import Declares, LoadView, Policy
from tierlab.policies.registry import POLICIES, make_policy, policy_names

NAMES = list(POLICIES["loading"])
COST = st.floats(0.0, 10.0)


def policy(name, **parameters):
    return make_policy("loading", name, parameters, "test")


def view(load_s, compute_s, blocks=8, tokens=16, **more):
    """Return choices of 0 .. blocks blocks, each with a cost to load and one to compute."""
    count = np.arange(blocks + 1)
    return LoadView(
        blocks=count,
        tokens=count * tokens,
        nbytes=count * tokens * 4.0,
        load_s=np.where(count > 0, load_s * np.maximum(count, 1), 0.0),
        recompute_s=(blocks - count) * float(compute_s),
        **more,
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name):
    made = policy(name)
    assert isinstance(made, Policy)
    assert (made.axis, made.name) == ("loading", name)
    assert made.paper
    assert isinstance(made.declares, Declares)
    assert f"loading/{name}" in policy_names()
    found = made.statistics({})
    assert 0 <= found.p10 <= found.mean <= found.p90 <= 1
    assert found.source
    again = {f.name: getattr(made, f.name) for f in fields(made)}
    assert policy(name, **again) == made


@pytest.mark.parametrize("name", NAMES)
@given(load_s=COST, compute_s=COST, blocks=st.integers(0, 9), overlaps=st.booleans())
def test_it_decides_within_its_footprint(name, load_s, compute_s, blocks, overlaps):
    made, seen = policy(name), view(load_s, compute_s, blocks, overlaps=overlaps)
    choice = made.decide(seen)
    assert 0 <= choice <= blocks
    assert seen.tokens[choice] <= made.footprint(seen.tokens[-1:])[0] <= seen.tokens[-1]


@given(
    st.lists(COST, min_size=1, max_size=9), st.lists(COST, min_size=1, max_size=9), st.booleans()
)
def test_cheaper_is_the_least_of_all_splits(load, compute, overlaps):
    size = min(len(load), len(compute))
    loads = np.append(0.0, np.cumsum(load[:size]))
    rest = np.append(np.cumsum(compute[:size][::-1])[::-1], 0.0)
    count = np.arange(size + 1)
    seen = LoadView(count, count, count * 1.0, loads, rest, overlaps=overlaps)
    both = max if overlaps else lambda a, b: a + b
    slow = [both(loads[i], rest[i]) for i in range(size + 1)]
    assert policy("cheaper").decide(seen) == slow.index(min(slow))


def test_cheaper_against_tiers_that_are_infinitely_slow_or_fast():
    assert policy("cheaper").decide(view(np.inf, 1.0, blocks=1)) == 0
    assert policy("cheaper").decide(view(0.0, 1.0)) == 8
    assert policy("cheaper", margin=0.5).decide(view(0.6, 1.0)) == 0
    assert policy("cheaper", margin=0.5).decide(view(0.4, 1.0)) == 8
    assert policy("cheaper").decide(view(1.0, 1.0, overlaps=True)) == 4


def test_always():
    assert policy("always_load").decide(view(9.0, 1.0)) == 8
    assert policy("always_recompute").decide(view(0.0, 1.0)) == 0


def test_a_budget():
    assert policy("budgeted").decide(view(9.0, 1.0)) == 8
    assert policy("budgeted", tokens=40).decide(view(1.0, 1.0)) == 2
    assert policy("budgeted", nbytes=64).decide(view(1.0, 1.0)) == 1
    assert policy("budgeted", queue_s=0.5).decide(view(1.0, 1.0, queue_s=0.6)) == 0
    assert policy("budgeted", queue_s=0.5).decide(view(1.0, 1.0, queue_s=0.4)) == 8


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("budgeted", {"tokens": -1}), ("cheaper", {"margin": 1.0}), ("cheaper", {"margins": 0.1})],
)
def test_values_out_of_range_are_refused(name, parameters):
    with pytest.raises(BadInput):
        policy(name, **parameters)
