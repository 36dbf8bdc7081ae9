"""Which kernels are measured at which shapes, and that each is checked."""

import time
from collections import Counter

import numpy as np
import pytest

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.kernels.compute.registry import OPERATIONS
from tierlab.kernels.measure import cpukernels, shapes
from tierlab.kernels.measure.arguments import arrays, rotated
from tierlab.kernels.measure.check import CUTS, check_result
from tierlab.kernels.measure.cpukernels import CpuKernels
from tierlab.kernels.measure.shapes import Ranges, points, shape_of
from tierlab.kernels.ops.table import DTYPES, OPS, OpTable

FIT_NEEDS = 30
FEW = Ranges("fp32", (1, 7), (1,), (64,), 2**20, (), (), 0.0, 1, ((48, 32),), ((4, 2, 64),))


@pytest.mark.parametrize("ranges", [shapes.CPU, shapes.GPU])
def test_every_operation_is_measured_and_fits_have_enough(ranges) -> None:
    made = points(ranges, "numba")
    counts = Counter(p.columns["operation"] for p in made)
    assert set(counts) == set(OPERATIONS)
    for name in ("gemm", "decode", "prefill"):
        assert counts[name] >= FIT_NEEDS, name


def test_columns_are_those_of_time_models() -> None:
    for point in points(shapes.CPU, "numba"):
        c = point.columns
        if c["op"] not in OPS:
            continue
        names = [
            n
            for n in (
                "batch",
                "q_len",
                "kv_len",
                "heads",
                "kv_heads",
                "head_dim",
                "m",
                "n",
                "k",
                "bytes",
            )
            if n in c
        ]
        ops = OpTable.build(c["op"], c["dtype"], **{n: c[n] for n in names})
        assert len(ops) == 1
        assert c.get("kv_dtype", "none") in (*DTYPES, "int2")


def test_work_agrees_with_the_time_models_count() -> None:
    from tierlab.kernels.ops.registry import flops

    for point in points(shapes.CPU, "numba"):
        c = point.columns
        if c["op"] == "gemm":
            assert c["flops"] == 2 * c["m"] * c["n"] * c["k"]
        if c["op"] in ("decode_attention", "prefill_attention"):
            names = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim")
            ops = OpTable.build(c["op"], "fp32", **{n: c[n] for n in names})
            assert c["flops"] == flops(ops)[0]


def test_shapes_are_read_back() -> None:
    for point in points(shapes.CPU, "numba"):
        text = " ".join(f"{k}={v}" for k, v in shape_of(point).items())
        assert text == point.columns["shape"]


@pytest.fixture
def part(monkeypatch):
    monkeypatch.setattr(cpukernels, "CPU", FEW)
    monkeypatch.setattr(shapes, "_others", lambda r: _small())
    return CpuKernels(False, 2**12)


def _small():
    for name in ("rmsnorm", "top", "gather", "scatter"):
        yield name, dict(OPERATIONS[name].shape), {"op": name}


def test_they_run_and_are_checked(part) -> None:
    with part.open() as measure:
        for point in part.points():
            assert min(measure(point, time.perf_counter())) > 0


@pytest.mark.parametrize("name", [*CUTS, "scatter", "quantise", "top", "scores"])
def test_results_that_are_wrong_are_caught(name: str) -> None:
    operation = OPERATIONS[name]
    arguments = operation.example({}, np.random.default_rng(5))
    right = operation.implementations["numpy"](*arguments)
    check_result(operation, arguments, right, "fp32")
    wrong = _zeros(right)
    if name == "scatter":
        arguments[0][arguments[1]] = 0
    with pytest.raises(BrokenLaw):
        check_result(operation, arguments, wrong, "fp32")


def _zeros(value):
    if isinstance(value, tuple):
        return tuple(_zeros(v) for v in value)
    if hasattr(value, "codes"):
        return np.zeros_like(value.codes)
    return None if value is None else np.zeros_like(value)


def test_results_that_are_not_finite_are_caught() -> None:
    operation = OPERATIONS["gemm"]
    arguments = operation.example({}, np.random.default_rng(6))
    with pytest.raises(BrokenLaw, match="gemm is off by nan"):
        check_result(operation, arguments, np.full((37, 67), np.nan, np.float32), "fp32")


def test_copies_fill_what_is_asked_and_share_nothing() -> None:
    arguments = OPERATIONS["decode_int4"].example({}, np.random.default_rng(7))
    size = sum(a.nbytes for a in arrays(arguments))
    sets = rotated(arguments, 3 * size)
    assert len(sets) == 3
    for a, b in zip(arrays(sets[0]), arrays(sets[2]), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)
    assert len(rotated(arguments, 1)) == 1
