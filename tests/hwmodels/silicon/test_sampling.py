"""Sampling and selection: how their times grow, what is taken off them, and who answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.measuredjson import operation_rows, table_of
from tierlab.hwmodels.time.silicon.aliases import SELECT_PASSES
from tierlab.hwmodels.time.silicon.apart import LEAST, apart
from tierlab.hwmodels.time.silicon.calibration import SHIPPED, load
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.holdout import hold_out
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.silicon.measured import Beside, KernelKey, Measured
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.hwmodels.time.silicon.shapes import read_shapes
from tierlab.hwmodels.time.times import CALIBRATED, DATASHEET
from tierlab.kernels.ops.table import OPS, OpTable

FILES = {
    "sample": ("RTX-4090", "datasheet"),
    "top_k": ("H200", "H100", "B200", "datasheet"),
}


def kernel(name: str, op: str):
    path = SHIPPED / f"{name.lower()}.json"
    return next(k for k in load(path, "test").kernels if k.key.op == op)


@pytest.mark.parametrize(("op", "name"), [(op, n) for op, names in FILES.items() for n in names])
@pytest.mark.parametrize("axis", ["m", "n", "k"])
def test_more_rows_scores_or_passes_never_take_less(op, name, axis):
    """Of the formulas with the constants that ship; trees follow the measurements' own steps."""
    one, device = kernel(name, op), load_device("H200" if name == "datasheet" else name, "test")
    sizes = {"m": 2.0 ** np.arange(0, 16, 0.25), "n": 2.0 ** np.arange(8, 21, 0.25)}
    sizes |= {"k": np.arange(50.0)}
    for m, n in ((1.0, 4096.0), (64.0, 128256.0), (4096.0, 32768.0)):
        at = {"m": m, "n": n, "k": SELECT_PASSES} | {axis: sizes[axis]}
        ops = OpTable.build("sample", "fp32", **at)
        seconds = one.formula_s(ops, machine_of(device))
        assert np.isfinite(seconds).all()
        assert (np.diff(seconds) >= -1e-12).all()


@pytest.mark.parametrize("op", FILES)
def test_any_shape_has_a_time(op):
    ops = OpTable.build("sample", "fp32", m=[1, 1, 1e6, 1e6], n=[1, 1e7, 1, 1e6], k=8, kv_len=1)
    for name in FILES[op]:
        machine = machine_of(load_device("H200", "test"))
        found = kernel(name, op).predict(ops, machine)
        assert np.isfinite(found.p90).all()
        assert (found.p10 > 0).all()
        assert found.beyond.all()


def test_few_rows_leave_sms_idle(machine):
    p = {name: each.start for name, each in KERNELS["sample"].parameters.items()}
    ops = OpTable.build("sample", "fp32", m=[1.0, 16.0, 64.0], n=128000.0)
    seconds = KERNELS["sample"].seconds(ops, machine, "passes", p)
    np.testing.assert_allclose(seconds, seconds[0], rtol=0.05)
    split = KERNELS["sample"].seconds(ops, machine, "passes", p | {"part_kb": 50.0})
    assert split[0] < 0.9 * seconds[0]


def test_one_more_row_than_sms_is_one_more_wave_of_a_selection(machine):
    p = {name: each.start for name, each in KERNELS["top_k"].parameters.items()}
    p |= {"whole": 0.99, "answer_kb": 8.0}
    rows = np.array([1.0, machine.sms, machine.sms + 1.0])
    ops = OpTable.build("sample", "fp32", m=rows, n=4096.0, k=8.0, kv_len=4096.0)
    one, full, more = KERNELS["top_k"].seconds(ops, machine, "block", p)
    assert full == pytest.approx(one, rel=0.05)
    assert more - 2e-6 == pytest.approx(2.0 * (full - 2e-6), rel=0.1)


def test_many_sequences_look_up_more_page_tables_than_the_l2_holds(machine):
    p = {name: each.start for name, each in KERNELS["top_k"].parameters.items()}
    shape = {"m": 1024.0, "n": 163840.0, "k": 8.0, "kv_len": 163840.0}
    ops = OpTable.build("sample", "fp32", batch=[1.0, 16.0, 128.0, 1024.0], **shape)
    seconds = KERNELS["top_k"].seconds(ops, machine, "block", p)
    assert (np.diff(seconds) > 0).all()
    assert seconds[1] - seconds[0] < seconds[2] - seconds[1]


def test_what_runs_beside_is_taken_off(machine, synthetic):
    """A sampler's times with their widening give the constants that its own times give."""
    moves = synthetic("elementwise")
    rows = np.tile(np.arange(1.0, 129.0), 2)
    chosen = OpTable.build("sample", "fp32", m=rows, n=np.repeat([32000.0, 128000.0], 128))
    start = {name: each.start for name, each in KERNELS["sample"].parameters.items()}
    alone = KERNELS["sample"].seconds(chosen, machine, "passes", start | {"launch_us": 15.0})
    wide = OpTable.build("elementwise", "bf16", bytes=6.0 * rows * chosen["n"])
    widening = fit(moves, machine, Options(trees=False))
    key = KernelKey("sample", "fp32", "none", "test", "1", "synthetic")
    both = alone + widening.predict(wide, machine).seconds
    part = Measured(key, "synthetic", chosen, both, Beside(wide, moves))
    made = fit(part, machine, Options(trees=False))
    np.testing.assert_allclose(made.formula_s(chosen, machine), alone, rtol=0.02)
    other = replace(widening, parameters={**widening.parameters, "launch_us": 1.0})
    known = fit(part, machine, Options(trees=False), [widening, other])
    assert known.parameters["launch_us"] > made.parameters["launch_us"]
    held = hold_out(part, machine, Options(trees=False))
    assert sum(row.points for row in held) == len(part)
    assert max(row.median for row in held) < 0.02


def test_times_that_are_all_the_other_s_are_left_out(machine, synthetic):
    moves = synthetic("elementwise")
    widening = fit(moves, machine, Options(trees=False))
    ops = OpTable.build("sample", "fp32", m=[1.0, 2.0, 3.0], n=1000.0)
    wide = OpTable.build("elementwise", "bf16", bytes=6e3 * np.arange(1.0, 4.0))
    took = widening.predict(wide, machine).seconds
    seconds = took / (1.0 - LEAST * np.array([0.5, -1.0, 2.0]))
    key = KernelKey("sample", "fp32", "none", "test", "1", "synthetic")
    part = Measured(key, "synthetic", ops, seconds, Beside(wide, moves))
    left = apart(part, widening, machine)
    assert left.ops["m"].tolist() == [3.0]
    np.testing.assert_allclose(left.seconds, (seconds - took)[2:])
    assert left.beside is None
    assert apart(left, widening, machine) is left


SHAPES = pl.DataFrame(
    {
        "op": ["sample", "sample", "top_k"],
        "m": [64, 64, None], "n": [128256, 128256, None], "k": [None, None, None],
        "batch": [None, None, 64], "kv_len": [None, 9, 16384], "heads": [None, None, 1],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("device", "path", "source", "answers"),
    [
        ("RTX-4090", None, CALIBRATED, "vllm 0.19.0 vllm"),
        ("H200", "datasheet", DATASHEET, "vllm several pooled"),
    ],
)
def test_shapes_are_answered_by_kernel_models(device, path, source, answers):
    """Keys beside a sample say nothing: its logits are told."""
    gpu = load_device(device, "test")
    model = silicon(path and Path(path), gpu, None, "test")
    times, member = model.explain(read_shapes(SHAPES, "test"))
    names = [model.kernels()[g] if g >= 0 else "roofline" for g in member]
    assert names[:2] == [answers, answers]
    assert times.seconds[0] == times.seconds[1]
    assert (times.source[:2] == source).all()


@pytest.mark.parametrize("device", ["H200", "H100", "B200"])
def test_selection_is_measured_where_public_tables_have_it(device):
    model = silicon(None, load_device(device, "test"), None, "test")
    times, member = model.explain(read_shapes(SHAPES, "test"))
    assert model.kernels()[member[2]] == "sglang 0.5.14 fast_topk_transform_fused"
    assert times.source[2] == CALIBRATED
    assert not times.extrapolated[2]


def test_random_scores_of_long_rows_take_what_scores_alike_do():
    """flashinfer-ai/flashinfer pull 2461, `fast_topk_v2` on a B200: in no fit."""
    model = silicon(None, load_device("B200", "test"), None, "test")
    keys = np.array([16384.0, 65536.0])
    ops = OpTable.build("sample", "fp32", m=1, n=keys, kv_len=keys, k=SELECT_PASSES)
    np.testing.assert_allclose(model.predict(ops).seconds * 1e6, [15.39, 40.88], rtol=0.15)


def test_our_own_selection_is_a_selection():
    shape = {"shape": "rows=8 width=512 k=32", "seconds": 1.0, "dtype": "fp32", "kernel": "numba"}
    (row,) = operation_rows([{"op": "top", **shape}])
    ops = table_of([row], "test")
    assert OPS[ops.op[0]] == "sample"
    columns = {c: ops[c][0] for c in ("m", "n", "k", "kv_len")}
    assert columns == {"m": 8.0, "n": 512.0, "k": SELECT_PASSES, "kv_len": 512.0}
