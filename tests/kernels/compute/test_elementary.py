"""Products, norms, rotations, codes and blocks on this processor against float64, at odd sizes."""

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute import (
    blocks,
    gather,
    gemm,
    hadamard,
    lowrank,
    quantise,
    rmsnorm,
    rotary,
    swiglu,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize(
    "mkn", [(1, 1, 1), (3, 5, 7), (129, 300, 65), (64, 256, 64), (7, 513, 200)]
)
def test_gemm(rng, mkn) -> None:
    m, k, n = mkn
    a, b = normal(rng, m, k), normal(rng, k, n)
    expected = gemm.reference(a, b)
    np.testing.assert_allclose(gemm.numba_version(a, b), expected, atol=1e-6 * k)


def test_gemm_refuses_other_inner_sizes(rng) -> None:
    with pytest.raises(BadInput, match="4 rows"):
        gemm.numba_version(normal(rng, 2, 3), normal(rng, 4, 2))


@pytest.mark.parametrize("shape", [(1, 1), (3, 15), (2, 5, 577), (4, 4096)])
def test_rmsnorm(rng, shape) -> None:
    x, weight = normal(rng, *shape), normal(rng, shape[-1])
    np.testing.assert_allclose(
        rmsnorm.numba_version(x, weight), rmsnorm.reference(x, weight), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(1,), (3, 33), (5, 4097)])
def test_swiglu(rng, shape) -> None:
    gate, up = 5 * normal(rng, *shape), normal(rng, *shape)
    np.testing.assert_allclose(
        swiglu.numba_version(gate, up), swiglu.reference(gate, up), rtol=2e-6, atol=1e-30
    )


def test_swiglu_at_the_ends() -> None:
    gate = np.repeat(np.float32([-1e30, -200, -88, 0, 88, 1e30]), 16)
    one = np.ones_like(gate)
    np.testing.assert_allclose(
        swiglu.numba_version(gate, one), swiglu.reference(gate, one), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(1, 1, 2), (7, 3, 64), (5, 9, 126)])
def test_rotary(rng, shape) -> None:
    x = normal(rng, *shape)
    at = rng.integers(0, 1_000_000, shape[0])
    np.testing.assert_allclose(
        rotary.numba_version(x, at), rotary.reference(x, at), rtol=1e-5, atol=1e-6
    )


def test_rotary_keeps_products_of_equal_distances(rng) -> None:
    q, k = normal(rng, 1, 1, 64), normal(rng, 1, 1, 64)

    def product(a: int, b: int) -> float:
        return float((rotary.numba_version(q, [a]) * rotary.numba_version(k, [b])).sum())

    assert product(7, 3) == pytest.approx(product(104, 100), abs=1e-4)


def test_rotary_refuses_odd_heads(rng) -> None:
    with pytest.raises(BadInput, match="head size 5"):
        rotary.numba_version(normal(rng, 1, 1, 5), [0])


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 7, 128), (2, 1024)])
def test_hadamard(rng, shape) -> None:
    x = normal(rng, *shape)
    y = hadamard.numba_version(x)
    np.testing.assert_allclose(y, hadamard.reference(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(hadamard.numba_version(y), x, rtol=1e-5, atol=1e-5)


def test_hadamard_refuses_other_lengths(rng) -> None:
    with pytest.raises(BadInput, match="48 values"):
        hadamard.numba_version(normal(rng, 2, 48))


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize(("shape", "group"), [((3, 5, 64), 16), ((1, 7, 192), 64), ((2, 128), 128)])
def test_quantise(rng, bits: int, shape, group: int) -> None:
    x = normal(rng, *shape)
    x[..., 0, :group] = 1.5
    coded, expected = (f(x, bits, group) for f in (quantise.numba_version, quantise.reference))
    np.testing.assert_array_equal(coded.codes, expected.codes)
    np.testing.assert_array_equal(coded.scale, expected.scale)
    np.testing.assert_array_equal(coded.low, expected.low)
    assert coded.shape == shape
    back = quantise.dequantise_numba_version(coded)
    np.testing.assert_allclose(back, quantise.dequantise_reference(coded), atol=1e-6)
    step = np.repeat(np.swapaxes(coded.scale, -1, -2), group, axis=-1)
    assert (np.abs(back - x) <= step / 2 + 1e-6).all()


@pytest.mark.parametrize(
    ("n", "bits", "group"), [(64, 3, 32), (48, 4, 16), (32, 2, 32), (64, 4, 24)]
)
def test_quantise_refuses_what_does_not_pack(n: int, bits: int, group: int) -> None:
    with pytest.raises(BadInput, match="bits|group"):
        quantise.numba_version(np.zeros((2, n), np.float32), bits, group)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_gather_and_scatter(rng, dtype) -> None:
    cache = rng.integers(0, 100, (9, 3, 5, 7)).astype(dtype)
    ids = np.array([8, 0, 3, 5], np.int32)
    found = gather.numba_version(cache, ids)
    np.testing.assert_array_equal(found, gather.reference(cache, ids))
    ours, theirs = np.zeros_like(cache), np.zeros_like(cache)
    gather.scatter_numba_version(ours, ids, found)
    gather.scatter_reference(theirs, ids, found)
    np.testing.assert_array_equal(ours, theirs)
    assert gather.numba_version(cache, ids[:0]).shape == (0, 3, 5, 7)


@pytest.mark.parametrize("ids", [[9], [-1]])
def test_gather_refuses_blocks_outside(ids) -> None:
    with pytest.raises(BadInput, match="0 to 8"):
        gather.numba_version(np.zeros((9, 4)), np.array(ids, np.int32))


def test_blocks(rng) -> None:
    keys = normal(rng, 11, 3, 48, 17)
    filled = np.array([17, 1, 0, 5, *[17] * 7], np.int32)
    means = blocks.representatives_numba_version(keys, filled)
    np.testing.assert_allclose(means, blocks.representatives_reference(keys, filled), atol=1e-6)
    table = rng.integers(0, 11, (4, 9)).astype(np.int32)
    counts = np.array([9, 1, 4, 7], np.int32)
    q = normal(rng, 4, 9, 48)
    scores = blocks.scores_numba_version(q, means, table, counts)
    expected = blocks.scores_reference(q, means, table, counts)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert np.isneginf(scores[1, :, 1:]).all()


@pytest.mark.parametrize("k", [0, 1, 5, 40, 41])
def test_top(rng, k: int) -> None:
    scores = rng.integers(0, 6, (3, 5, 41)).astype(np.float32)
    scores[0, 0, 3:] = -np.inf
    np.testing.assert_array_equal(
        blocks.top_numba_version(scores, k), blocks.top_reference(scores, k)
    )


def test_top_refuses_more_than_there_are() -> None:
    with pytest.raises(BadInput, match="6 of 5"):
        blocks.top_numba_version(np.zeros((1, 5), np.float32), 6)


def test_lowrank(rng) -> None:
    left, right = normal(rng, 100, 13), normal(rng, 13, 3 * 32)
    tokens = np.array([99, 0, 37], np.int32)
    np.testing.assert_allclose(
        lowrank.numba_version(left, right, 32, tokens),
        lowrank.reference(left, right, 32, tokens),
        atol=2e-5,
    )
    with pytest.raises(BadInput, match="token"):
        lowrank.numba_version(left, right, 32, np.array([100], np.int32))
