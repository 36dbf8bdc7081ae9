"""Trees: what is fitted is found on shapes not seen, packed, and read back the same."""

import base64

import numpy as np
import pytest

from tierlab.hwmodels.time.silicon.boost import Boosting, grow
from tierlab.hwmodels.time.silicon.packed import pack, unpack, unwrapped
from tierlab.hwmodels.time.silicon.trees import DEPTH, LEAVES, Forest
from tierlab.kernels.base.errors import BadInput

FEW = Boosting(trees=60)


def shapes(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"a": rng.integers(0, 12, n).astype(float), "b": rng.normal(size=n), "c": rng.random(n)}


def bent(at: dict[str, np.ndarray]) -> np.ndarray:
    return 0.2 * (at["a"] > 6) * (at["b"] > 0) - 0.1 * (at["c"] < 0.3)


def test_a_rule_is_found_through_noise_and_bad_points():
    at = shapes(4000, 1)
    rng = np.random.default_rng(2)
    noisy = bent(at) + rng.normal(0, 0.01, 4000) + (rng.random(4000) < 0.02) * 2.0
    new = shapes(2000, 3)
    error = np.abs(grow(at, noisy, FEW)(new) - bent(new))
    assert np.median(error) < 0.01
    assert np.quantile(error, 0.9) < 0.03


def test_growing_is_repeatable_and_its_seed_matters():
    at = shapes(500, 1)
    once, twice, other = (grow(at, bent(at), FEW, seed)(at) for seed in (0, 0, 1))
    assert (once == twice).all()
    assert (once != other).any()


def test_few_points_get_few_trees():
    assert Boosting(trees=400).for_points(80).trees == 40
    assert Boosting(trees=400).for_points(10**6).trees == 400


def test_one_tree_by_hand():
    feature, above = np.zeros((1, DEPTH), np.uint8), np.zeros((1, DEPTH), np.uint8)
    feature[0, 0], feature[0, 1:] = 1, 0
    steps = np.zeros((1, LEAVES), np.int8)
    steps[0, 0], steps[0, 1], steps[0, LEAVES - 1] = 1, 2, 3
    edges = (np.array([5.0]), np.array([0.5]))
    forest = Forest(("x", "y"), edges, feature, above, np.array([0.1]), steps)
    found = forest({"x": np.array([5.0, 5.0, 6.0]), "y": np.array([0.5, 0.6, 0.6])})
    np.testing.assert_allclose(found, [0.1, 0.2, 0.3])


def test_a_row_alone_gets_the_answer_that_it_gets_in_company():
    at = shapes(3000, 4)
    forest = grow(at, bent(at), FEW)
    whole = forest(at)
    for row in (0, 2047, 2048, 2999):
        assert forest({k: v[row : row + 1] for k, v in at.items()})[0] == whole[row]


def test_what_is_packed_comes_back():
    at = shapes(3000, 4)
    forest = grow(at, bent(at) + np.random.default_rng(0).normal(0, 0.02, 3000), FEW)
    text = pack(forest)
    again = unpack(*text.values(), refuse)
    np.testing.assert_allclose(again(shapes(3000, 5)), forest(shapes(3000, 5)), atol=1e-4)
    assert len(text["packed"]) < 100 * FEW.trees


def refuse(what: str, accepted: str) -> BadInput:
    return BadInput("trees", what, accepted)


def test_scales_and_questions_that_no_fit_gives_are_refused():
    at = shapes(300, 4)
    forest = grow(at, bent(at), Boosting(trees=3))
    parts = vars(forest)
    falling = tuple(e[::-1] for e in forest.edges)
    for name, value in {"scale": np.full(3, 900.0), "edges": falling}.items():
        broken = Forest(*[value if k == name else parts[k] for k in Forest.__dataclass_fields__])
        with pytest.raises(BadInput, match="scales|rise"):
            unpack(*pack(broken).values(), refuse)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 999, 4000])
def test_text_of_any_length_is_read_as_it_was_written(size):
    raw = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    assert unwrapped(base64.b85encode(raw).decode()) == raw
    assert unwrapped(base64.b85encode(b"\xff" * size).decode()) == b"\xff" * size


@pytest.mark.parametrize("text", ["abc d", "~~~~~", 'ab"cd', "abcd\u00e9", "0000\n"])
def test_text_that_was_never_written_is_refused(text):
    with pytest.raises(ValueError, match=r"base 85|ascii"):
        unwrapped(text)
