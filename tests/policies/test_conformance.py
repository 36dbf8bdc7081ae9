"""What every registered policy must do, whatever its axis."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from tierlab.kernels.models.kv import KvGroup
from tierlab.policies.design import make_design, preset_names
from tierlab.policies.protocol import AXES, Declares, KvShape, Policy
from tierlab.policies.registry import POLICIES, make_policy, policy_names

EVERY = [(axis, name) for axis in AXES for name in POLICIES[axis]]
GROUPS = (KvGroup(3, 96, 64, 32, 0, "gqa"), KvGroup(2, 40, 20, 20, 24, "gqa"))


def of_axis(axis: str) -> list[str]:
    return list(POLICIES[axis])


@pytest.fixture
def shape() -> KvShape:
    tokens = np.array([[1, 7, 24, 25, 1000]] * 2)
    return KvShape(GROUPS, tokens)


@pytest.mark.parametrize(("axis", "name"), EVERY)
def test_it_says_what_it_is(axis, name):
    policy = make_policy(axis, name, {}, "test")
    assert isinstance(policy, Policy)
    assert is_dataclass(policy)
    assert (policy.axis, policy.name) == (axis, name)
    assert policy.paper
    assert isinstance(policy.declares, Declares)
    assert f"{axis}/{name}" in policy_names()


@pytest.mark.parametrize(("axis", "name"), EVERY)
def test_its_statistics_are_a_distribution_with_a_source(axis, name):
    found = make_policy(axis, name, {}, "test").statistics({})
    assert 0 <= found.p10 <= found.mean <= found.p90 <= 1
    assert found.source


@pytest.mark.parametrize(("axis", "name"), EVERY)
def test_every_parameter_has_a_default(axis, name):
    policy = make_policy(axis, name, {}, "test")
    assert make_policy(axis, name, {f.name: getattr(policy, f.name) for f in fields(policy)}, "t")


@pytest.mark.parametrize("name", of_axis("retention"))
def test_retention_keeps_no_more_than_the_context_and_never_less_of_more(name, shape):
    kept = make_policy("retention", name, {}, "test").footprint(shape)
    assert kept.shape == shape.tokens.shape
    assert (kept <= shape.tokens).all()
    assert (np.diff(kept, axis=1) >= 0).all()


@pytest.mark.parametrize("name", of_axis("retention"))
@pytest.mark.parametrize("tokens", [1, 5, 64, 300])
def test_retention_decides_what_its_footprint_says(name, tokens):
    policy = make_policy("retention", name, {}, "test")
    rng = np.random.default_rng(0)
    chosen = policy.decide(rng.normal(size=(4, tokens, 8)), rng.random((4, tokens)))
    group = (KvGroup(1, 64, 32, 32, 0, "gqa"),)
    expected = policy.footprint(KvShape(group, np.array([[tokens]])))
    assert chosen.shape == (4, expected[0, 0])
    assert (np.diff(chosen, axis=1) > 0).all()


@pytest.mark.parametrize("name", of_axis("representation"))
def test_stored_bytes_are_those_of_the_encoded_arrays(name):
    policy = make_policy("representation", name, {}, "test")
    rng = np.random.default_rng(1)
    for tokens in (1, 3, 128, 129, 517):
        keys = rng.normal(size=(2, tokens, 32)).astype(np.float32)
        values = rng.normal(size=(2, tokens, 32)).astype(np.float32)
        stored = *policy.decide(keys, "key"), *policy.decide(values, "value")
        real = sum(part.nbytes for part in stored)
        group = (KvGroup(1, 128, 64, 64, 0, "gqa"),)
        assert policy.footprint(KvShape(group, np.array([[tokens]])))[0, 0] == real


@pytest.mark.parametrize("kind", ["key", "value"])
@pytest.mark.parametrize("tokens", [3, 128, 300])
@pytest.mark.parametrize("name", of_axis("representation"))
def test_restoring_errs_by_no_more_of_the_largest_element_than_it_says(name, tokens, kind):
    policy = make_policy("representation", name, {}, "test")
    values = np.random.default_rng(2).normal(size=(2, tokens, 32)).astype(np.float32)
    back = policy.restore(policy.decide(values, kind), kind)
    assert back.shape == values.shape
    assert np.abs(back - values).max() <= (1 - policy.statistics({}).p10) * np.abs(values).max()


@pytest.mark.parametrize("name", of_axis("representation"))
def test_more_whole_windows_of_tokens_never_take_fewer_bytes(name):
    tokens = np.broadcast_to(np.arange(0, 2000, 128), (2, 16))
    stored = make_policy("representation", name, {}, "test").footprint(KvShape(GROUPS, tokens))
    assert (np.diff(stored, axis=1) >= 0).all()


@pytest.mark.parametrize("name", of_axis("selection"))
def test_selection_reads_what_it_decides_and_no_more_than_is_stored(name, shape):
    policy = make_policy("selection", name, {}, "test")
    assert (policy.footprint(shape) <= shape.tokens).all()
    rng = np.random.default_rng(3)
    group = (KvGroup(1, 64, 32, 32, 0, "gqa"),)
    for tokens in (1, 40, 200, 7000):
        chosen = policy.decide(rng.normal(size=(4, 8)), rng.normal(size=(4, tokens, 8)))
        assert chosen.shape[1] == policy.footprint(KvShape(group, np.array([[tokens]])))[0, 0]


class Empty:
    """A view of a machine with nothing stored and nothing free."""

    def free_bytes(self, tier: str) -> float:
        return 0.0

    def stored_in(self, block_id: int) -> str | None:
        return None

    def load_s(self, tier: str, nbytes: float) -> float:
        return 1.0

    def recompute_s(self, tokens: int, past: int) -> float:
        return 1.0


@pytest.mark.parametrize("name", of_axis("placement"))
def test_placement_puts_every_byte_somewhere(name):
    policy = make_policy("placement", name, {}, "test")
    stored = np.array([0.0, 1.0, 1e9])
    parts = policy.footprint(stored)
    np.testing.assert_array_equal(sum(parts.values()), stored)
    assert set(policy.decide(5, Empty())) <= set(parts)


@pytest.mark.parametrize("name", of_axis("reuse"))
def test_reuse_serves_nothing_that_is_not_stored(name):
    policy = make_policy("reuse", name, {}, "test")
    assert policy.decide(np.arange(10), Empty()) == 0
    assert policy.footprint(1024.0) >= 0


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_makes_a_design(preset):
    from tierlab.policies.design import load_preset

    name, axes = load_preset(preset, "test")
    assert make_design(name, axes, "test").name == preset
