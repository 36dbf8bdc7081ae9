"""Every operation of the registry: its implementations agree on its own example, its work adds up."""

import numpy as np
import pytest

from tierlab.kernels.compute.quantise import Codes, dequantise_reference
from tierlab.kernels.compute.registry import OPERATIONS

EVERY = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def plain(result, arguments) -> list:
    """Return what an implementation made as arrays; what wrote in place, its first argument."""
    if result is None:
        return [arguments[0]]
    if isinstance(result, Codes):
        return [dequantise_reference(result)]
    return list(result) if isinstance(result, tuple) else [result]


@EVERY
def test_numba_agrees_with_numpy(operation) -> None:
    made = []
    for kind in ("numpy", "numba"):
        arguments = operation.example({}, np.random.default_rng(30))
        made.append(plain(operation.implementations[kind](*arguments), arguments))
    assert len(made[0]) == len(made[1])
    for expected, found in zip(*made, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


@EVERY
def test_bytes_cover_all_but_the_indices(operation) -> None:
    arguments = operation.example({}, np.random.default_rng(31))
    read = sum(a.nbytes for a in arguments if getattr(a, "dtype", None) != np.int32 and a is not None
               and hasattr(a, "nbytes"))  # fmt: skip
    assert operation.bytes({}) > 0
    if (
        operation.name not in ("gather", "scatter", "lowrank", "decode", "prefill")
        and "int" not in operation.name
    ):
        assert operation.bytes({}) >= read


@EVERY
def test_work_grows_with_the_shape(operation) -> None:
    for key in operation.shape:
        larger = {key: 2 * operation.shape[key]}
        if key not in ("bits", "group", "queries", "k", "blocks"):
            assert operation.bytes(larger) >= operation.bytes({})
            assert operation.flops(larger) >= operation.flops({})
