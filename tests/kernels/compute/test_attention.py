"""Attention on this processor against float64, at sizes that no tile divides."""

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute import decode, decode_codes, prefill, quantise

TOLERANCE = 2e-5
"""Outputs are means of values of size 1: float32 rounding over a few hundred terms."""


def cache(rng, lengths, heads, kv_heads, dim, block):
    """Return queries, a cache whose blocks lie in random order, its table and lengths."""
    lengths = np.asarray(lengths, np.int32)
    used = -(-lengths // block)
    total = int(used.sum()) + 2
    keys = rng.standard_normal((total, kv_heads, dim, block), dtype=np.float32)
    values = rng.standard_normal((total, kv_heads, block, dim), dtype=np.float32)
    table = np.full((len(lengths), used.max()), -1, np.int32)
    ids = rng.permutation(total).astype(np.int32)
    for row, count in zip(table, used, strict=True):
        row[:count], ids = ids[:count], ids[count:]
    q = rng.standard_normal((len(lengths), heads, dim), dtype=np.float32)
    return q, keys, values, table, lengths


SHAPES = [
    ([1], 1, 1, 16, 16),
    ([15, 16, 17], 9, 3, 64, 16),
    ([333, 1, 700], 8, 2, 128, 32),
    ([97], 5, 1, 80, 48),
    ([200, 31], 24, 2, 96, 16),
    ([64, 129], 6, 6, 112, 64),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_decode_agrees_with_float64(shape) -> None:
    operands = cache(np.random.default_rng(1), *shape)
    out, lse = decode.numba_version(*operands)
    expected, expected_lse = decode.reference(*operands)
    np.testing.assert_allclose(out, expected, atol=TOLERANCE)
    np.testing.assert_allclose(lse, expected_lse, atol=TOLERANCE)


def test_decode_takes_a_scale() -> None:
    operands = cache(np.random.default_rng(2), [50], 4, 2, 32, 16)
    np.testing.assert_allclose(
        decode.numba_version(*operands, 0.7)[0], decode.reference(*operands, 0.7)[0], atol=TOLERANCE
    )


def test_decode_is_one_key_when_one_score_towers() -> None:
    q, keys, values, table, lengths = cache(np.random.default_rng(3), [40], 4, 1, 16, 16)
    keys[table[0, 2], 0, :, 5] = 1e4 * q[0, 0]
    q[0, :] = q[0, 0]
    out, _ = decode.numba_version(q, keys, values, table, lengths)
    np.testing.assert_array_equal(out[0, 0], values[table[0, 2], 0, 5])


def test_what_lies_past_a_sequence_does_not_count() -> None:
    q, keys, values, table, lengths = cache(np.random.default_rng(4), [37], 4, 2, 64, 16)
    before = decode.numba_version(q, keys, values, table, lengths)[0]
    keys[table[0, 2], :, :, 5:] = 1e30
    values[table[0, 2], :, 5:] = np.nan
    np.testing.assert_array_equal(decode.numba_version(q, keys, values, table, lengths)[0], before)


def test_parts_of_a_context_merge_to_the_whole() -> None:
    q, keys, values, table, lengths = cache(np.random.default_rng(5), [96], 8, 2, 64, 16)
    whole = decode.reference(q, keys, values, table, lengths)
    left = decode.numba_version(q, keys, values, table[:, :2], np.array([32], np.int32))
    right = decode.numba_version(q, keys, values, table[:, 2:], np.array([64], np.int32))
    out, lse = decode.merge(*left, *right)
    np.testing.assert_allclose(out, whole[0], atol=TOLERANCE)
    np.testing.assert_allclose(lse, whole[1], atol=TOLERANCE)


CODED = [
    ([333, 1, 64], 9, 3, 64, 64, 32),
    ([129], 8, 2, 128, 128, 64),
    ([65, 190], 4, 4, 192, 64, 32),
    ([500], 5, 1, 64, 192, 64),
]


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("shape", CODED)
def test_decode_of_codes_agrees_with_float64(bits: int, shape) -> None:
    *sizes, group = shape
    q, keys, values, table, lengths = cache(np.random.default_rng(6), *sizes)
    coded = [quantise.numba_version(side, bits, group) for side in (keys, values)]
    out, lse = decode_codes.numba_version(q, *coded, table, lengths)
    expected, expected_lse = decode_codes.reference(q, *coded, table, lengths)
    np.testing.assert_allclose(out, expected, atol=TOLERANCE)
    np.testing.assert_allclose(lse, expected_lse, atol=TOLERANCE)


def test_int4_of_32_tokens_a_block() -> None:
    q, keys, values, table, lengths = cache(np.random.default_rng(7), [77], 4, 2, 96, 32)
    coded = [quantise.numba_version(side, 4, 32) for side in (keys, values)]
    out, _ = decode_codes.numba_version(q, *coded, table, lengths)
    np.testing.assert_allclose(
        out, decode_codes.reference(q, *coded, table, lengths)[0], atol=TOLERANCE
    )


CHUNKS = [
    ([1], [1]),
    ([5, 1, 130], [5, 80, 130]),
    ([67, 64], [200, 64]),
    ([3, 129], [19, 700]),
]


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_prefill_agrees_with_float64(shape, chunks) -> None:
    counts, lengths = chunks
    _, heads, kv_heads, dim, block = shape
    rng = np.random.default_rng(8)
    _, keys, values, table, lengths = cache(rng, lengths, heads, kv_heads, dim, block)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    q = rng.standard_normal((sum(counts), heads, dim), dtype=np.float32)
    operands = (q, keys, values, table, starts, lengths)
    out, lse = prefill.numba_version(*operands)
    expected, expected_lse = prefill.reference(*operands)
    np.testing.assert_allclose(out, expected, atol=TOLERANCE)
    np.testing.assert_allclose(lse, expected_lse, atol=TOLERANCE)


def test_prefill_of_one_query_is_decode() -> None:
    q, keys, values, table, lengths = cache(np.random.default_rng(9), [70, 33], 6, 2, 64, 16)
    starts = np.array([0, 1, 2], np.int32)
    np.testing.assert_allclose(
        prefill.numba_version(q, keys, values, table, starts, lengths)[0],
        decode.numba_version(q, keys, values, table, lengths)[0],
        atol=TOLERANCE,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: o[4].__setitem__(0, 0), "lengths"),
        (lambda o: o[4].__setitem__(0, 999), "lengths"),
        (lambda o: o[3].__setitem__((0, 0), 99), "block id"),
        (lambda o: o[3].__setitem__((0, 0), -1), "block id"),
        (lambda o: o.__setitem__(0, o[0][:, :3]), "3 heads over 2"),
        (lambda o: o.__setitem__(0, o[0][:, :, :32]), "heads of 64"),
        (lambda o: o.__setitem__(2, o[2][:, :1]), "values"),
        (lambda o: o.__setitem__(3, o[3][:0]), "0 rows for 1"),
    ],
)
def test_bad_operands_are_refused(change, said: str) -> None:
    operands = list(cache(np.random.default_rng(10), [37], 4, 2, 64, 16))
    change(operands)
    with pytest.raises(BadInput, match=said):
        decode.numba_version(*operands)


def test_sizes_that_no_vector_divides_are_refused() -> None:
    operands = cache(np.random.default_rng(11), [37], 4, 2, 24, 16)
    with pytest.raises(BadInput, match="head size 24"):
        decode.numba_version(*operands)


def test_chunks_longer_than_the_cache_are_refused() -> None:
    _, keys, values, table, lengths = cache(np.random.default_rng(12), [37], 4, 2, 64, 16)
    q = np.zeros((38, 4, 64), np.float32)
    with pytest.raises(BadInput, match="chunks of 38"):
        prefill.numba_version(q, keys, values, table, np.array([0, 38], np.int32), lengths)


def test_codes_of_two_kinds_are_refused() -> None:
    q, keys, values, table, lengths = cache(np.random.default_rng(13), [37], 4, 2, 64, 64)
    coded = quantise.numba_version(keys, 4, 32), quantise.numba_version(values, 2, 32)
    with pytest.raises(BadInput, match="4 bits in groups of 32, 2 bits"):
        decode_codes.numba_version(q, *coded, table, lengths)
