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


def nbytes(value) -> int:
    """Return the bytes of floats and codes; indices and sizes count as none."""
    return 0 if getattr(value, "dtype", None) == np.int32 else getattr(value, "nbytes", 0)


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"gather", "scatter", "lowrank"}))
def test_bytes_are_those_of_the_operands(name: str) -> None:
    operation = OPERATIONS[name]
    full = {"context": 192} if "context" in operation.shape else {}
    arguments = operation.example(full, np.random.default_rng(31))
    made = operation.implementations["numba"](*arguments)
    out = made[0] if isinstance(made, tuple) else made
    indices = arguments[1].nbytes if name == "rotary" else 0
    assert operation.bytes(full) == sum(map(nbytes, arguments)) + out.nbytes + indices


def test_bytes_of_chosen_blocks() -> None:
    shape = {"blocks": 100, "chosen": 3, "block_bytes": 64}
    assert OPERATIONS["gather"].bytes(shape) == OPERATIONS["scatter"].bytes(shape) == 3 * (128 + 4)
    shape = {"context": 1000, "rank": 5, "kv_heads": 2, "dim": 8, "chosen": 3}
    assert OPERATIONS["lowrank"].bytes(shape) == 4 * (3 * 5 + 5 * 16 + 3 * 16)


def test_half_floats_halve_the_cache() -> None:
    decode = OPERATIONS["decode"]
    assert decode.bytes({}, 2) * 2 == decode.bytes({}, 4)


def test_flops_are_what_the_shapes_say() -> None:
    assert OPERATIONS["gemm"].flops({"m": 3, "k": 5, "n": 7}) == 2 * 3 * 5 * 7
    seen = np.tri(5, 9, 4).sum()
    shape = {"batch": 2, "queries": 5, "context": 9, "heads": 6, "dim": 16}
    assert OPERATIONS["prefill"].flops(shape) == 4 * 2 * 6 * 16 * seen
    assert OPERATIONS["decode"].flops(shape) == 4 * 2 * 6 * 16 * 9
    assert OPERATIONS["hadamard"].flops({"rows": 3, "n": 8}) == 3 * 8 * (3 + 1)
