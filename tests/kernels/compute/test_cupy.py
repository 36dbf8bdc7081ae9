"""What runs on a GPU, against the float64 references: on a real one, and on its stand-in."""

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute import (
    blocks,
    decode,
    decode_codes,
    gather,
    hadamard,
    prefill,
    quantise,
    rmsnorm,
    rotary,
    swiglu,
)
from tierlab.kernels.compute.quantise import Codes
from tierlab.kernels.compute.registry import OPERATIONS, on_gpu

IN_FLOAT32 = ("rotary", "rmsnorm", "swiglu", "hadamard")
HALF = 4e-3
"""Weights and outputs are rounded to 2^-11, and sums have a hundred terms of size 1."""


def on_host(value):
    """Return a result as NumPy arrays of float64, codes as what they stand for."""
    if isinstance(value, tuple):
        return [part for each in value for part in on_host(each)]
    if isinstance(value, Codes):
        sides = (side.get() for side in (value.codes, value.scale, value.low))
        return [quantise.dequantise_reference(Codes(*sides, value.bits, value.group))]
    return [value.get().astype(np.float64)]


def rounded(arguments, dtype: str):
    """Return arguments with floats rounded as the GPU's were."""
    narrow = [isinstance(a, np.ndarray) and a.dtype == np.float32 for a in arguments]
    return tuple(
        a.astype(dtype).astype(np.float32) if n else a
        for a, n in zip(arguments, narrow, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, "float16") for name in OPERATIONS), *((name, "float32") for name in IN_FLOAT32)],
)
def test_agrees_with_the_reference(gpu, name: str, dtype: str) -> None:
    operation = OPERATIONS[name]
    arguments = rounded(operation.example({}, np.random.default_rng(40)), dtype)
    there = on_gpu(arguments, dtype)
    found, expected = (
        operation.implementations["cupy"](*there),
        operation.implementations["numpy"](*arguments),
    )
    found = there[:1] if found is None else found
    expected = arguments[0] if expected is None else expected
    expected = expected if isinstance(expected, tuple) else (expected,)
    tolerance = HALF if dtype == "float16" else 2e-5
    for a, b in zip(on_host(found), expected, strict=True):
        whole = quantise.dequantise_reference(b) if isinstance(b, Codes) else b
        np.testing.assert_allclose(a, whole, rtol=tolerance, atol=tolerance)


def bfloat_wide(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bfloat(x):
    """Return floats cut to bfloat16, as its bits and as float32."""
    bits = (np.ascontiguousarray(x).view(np.uint32) >> 16).astype(np.uint16)
    return bits, bfloat_wide(bits)


def cache(rng, lengths, heads, kv_heads, dim, block):
    """Return q, keys, values, table, lengths: blocks in random order, what holds no token NaN."""
    lengths = np.array(lengths, np.int32)
    width = -(-int(lengths.max()) // block) + 1
    total = len(lengths) * width
    keys, values = (
        rng.standard_normal((total, kv_heads, *sides), dtype=np.float32)
        for sides in ((dim, block), (block, dim))
    )
    table = rng.permutation(total).reshape(len(lengths), width).astype(np.int32)
    for row, length in zip(table, lengths, strict=True):
        whole, rest = divmod(int(length), block)
        keys[row[whole], ..., rest:] = values[row[whole], :, rest:] = np.nan
        row[whole + (rest > 0) :] = -1
    return (
        rng.standard_normal((len(lengths), heads, dim), dtype=np.float32),
        keys,
        values,
        table,
        lengths,
    )


SHAPES = [
    ([1, 16, 333], 9, 3, 128, 16),
    ([700, 65], 40, 2, 48, 32),
    ([1300, 130], 4, 4, 64, 128),
]


@pytest.mark.parametrize(
    ("shape", "dtype"), [*((shape, "float16") for shape in SHAPES), (SHAPES[0], "bfloat16")]
)
def test_decode(gpu, shape, dtype: str) -> None:
    q, keys, values, table, lengths = cache(np.random.default_rng(41), *shape)
    if dtype == "bfloat16":
        (q16, q), (k16, keys), (v16, values) = map(bfloat, (q, keys, values))
    else:
        q16, k16, v16 = (x.astype(np.float16) for x in (q, keys, values))
        q, keys, values = (x.astype(np.float32) for x in (q16, k16, v16))
    there = [gpu.asarray(x) for x in (q16, k16, v16, table, lengths)]
    out, lse = (x.get() for x in decode.cupy_version(*there, 0.2))
    out = bfloat_wide(out) if dtype == "bfloat16" else out
    expected, expected_lse = decode.reference(q, keys, values, table, lengths, 0.2)
    tolerance = HALF if dtype == "float16" else 8 * HALF
    np.testing.assert_allclose(out, expected, atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(lse, expected_lse, atol=1e-4)


CODED = [
    ([333, 1, 64], 9, 3, 64, 64, 32, 2),
    ([700], 20, 1, 128, 128, 64, 2),
    ([333, 31], 9, 3, 128, 32, 32, 4),
    ([97, 129], 8, 4, 64, 96, 32, 4),
]


@pytest.mark.parametrize("shape", CODED)
def test_decode_of_codes(gpu, shape) -> None:
    *sizes, group, bits = shape
    q, keys, values, table, lengths = cache(np.random.default_rng(42), *sizes)
    coded = [quantise.reference(np.nan_to_num(side), bits, group) for side in (keys, values)]
    q = q.astype(np.float16)
    there = on_gpu((q, *coded, table, lengths))
    out, lse = (x.get() for x in decode_codes.cupy_version(*there))
    expected, expected_lse = decode_codes.reference(q, *coded, table, lengths)
    np.testing.assert_allclose(out, expected, atol=2 * HALF, rtol=2 * HALF)
    np.testing.assert_allclose(lse, expected_lse, atol=2 * HALF)


CHUNKS = [([1], [1]), ([5, 1, 130], [5, 80, 130]), ([67, 64], [200, 64])]
"""Queries and lengths."""


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("shape", [([], 2, 1, 128, 16)])
def test_prefill(gpu, shape, chunks) -> None:
    counts, lengths = chunks
    rng = np.random.default_rng(43)
    _, *rest = cache(rng, lengths, *shape[1:])
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    q = rng.standard_normal((sum(counts), shape[1], shape[3]), dtype=np.float32)
    q, keys, values, table, lengths = rounded((q, *rest), "float16")
    there = on_gpu((q, keys, values, table, starts, lengths))
    out, lse = (x.get() for x in prefill.cupy_version(*there))
    expected, expected_lse = prefill.reference(q, keys, values, table, starts, lengths)
    np.testing.assert_allclose(out, expected, atol=HALF, rtol=HALF)
    np.testing.assert_allclose(lse, expected_lse, atol=1e-3)


def test_nothing_is_nothing(gpu) -> None:
    none = gpu.asarray(np.zeros((0, 64), np.float16))
    assert rmsnorm.cupy_version(none, gpu.asarray(np.zeros(64, np.float16))).shape == (0, 64)
    assert swiglu.cupy_version(none, none).shape == (0, 64)
    assert hadamard.cupy_version(none).shape == (0, 64)
    ids = gpu.asarray(np.zeros(0, np.int32))
    assert gather.cupy_version(gpu.asarray(np.zeros((4, 64), np.float16)), ids).shape == (0, 64)


def test_long_positions_lose_nothing(gpu) -> None:
    x = np.random.default_rng(44).standard_normal((3, 2, 64), dtype=np.float32)
    at = np.array([0, 999_999, 10_000_000], np.int32)
    found = rotary.cupy_version(gpu.asarray(x), gpu.asarray(at), 1e6).get()
    np.testing.assert_allclose(found, rotary.reference(x, at, 1e6), atol=1e-5)


def test_top_of_equal_scores_is_the_earlier(gpu) -> None:
    scores = np.random.default_rng(45).integers(0, 4, (3, 29)).astype(np.float32)
    found = blocks.top_cupy_version(gpu.asarray(scores), 9).get()
    np.testing.assert_array_equal(found, blocks.top_reference(scores, 9))


@pytest.mark.parametrize(
    ("heads", "dim", "dtype", "said"),
    [(4, 64, "float32", "float32"), (4, 256, "float16", "size 256"), (3, 64, "float16", "3 heads")],
)
def test_what_the_kernels_do_not_take_is_refused(gpu, heads, dim, dtype, said) -> None:
    there = [gpu.asarray(x) for x in cache(np.random.default_rng(46), [37], heads, 2, dim, 16)]
    there[:3] = [x.astype(dtype) for x in there[:3]]
    with pytest.raises(BadInput, match=said):
        decode.cupy_version(*there)
