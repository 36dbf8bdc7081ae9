"""MLA's decode on Blackwell: laid out as TensorRT-LLM's runner lays it out."""

from dataclasses import replace

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.silicon import mla_gen
from tierlab.hwmodels.time.silicon.calibration_reader import Reader
from tierlab.hwmodels.time.silicon.fit import Options, fit, may_run
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.mla import MLA_DECODE
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

VALUES = {n: p.start for n, p in MLA_DECODE.of(mla_gen.SCHEDULE).items()}


@pytest.fixture(scope="module")
def b200():
    return machine_of(load_system("B200").gpu)


def calls(**columns: object) -> OpTable:
    fixed = {"q_len": 1, "kv_heads": 1, "head_dim": 576, "v_head_dim": 512, "latent_rank": 512}
    return OpTable.build("decode_attention", "bf16", "bf16", **fixed, **columns)


def test_many_heads_leave_the_low_latency_kernel_where_the_table_shows_it(b200):
    """128 heads of B200's public table: 8 sequences of 2,048 keys take 27.9 us, of 4,096 21.5."""
    found = mla_gen.layout(calls(batch=8, kv_len=[2048, 4096], heads=128), b200)
    assert found.low.tolist() == [True, False]
    assert found.rows.tolist() == [16.0, 64.0]
    assert found.paired.tolist() == [False, True]
    seconds = mla_gen.seconds(calls(batch=8, kv_len=[2048, 4096], heads=128), b200, VALUES)
    assert seconds[1] < 1.1 * seconds[0]


@pytest.mark.parametrize(
    ("batch", "heads", "keys", "splits", "parts"),
    [
        (1, 16, 4096, 16, 4),
        (1, 16, 131072, 74, 2),
        (2, 16, 131072, 74, 1),
        (8, 64, 512, 2, 2),
        (128, 16, 131072, 1, 1),
        (64, 128, 131072, 1, 1),
    ],
)
def test_splits_fill_the_sms_and_keep_two_steps_each(b200, batch, heads, keys, splits, parts):
    found = mla_gen.layout(calls(batch=batch, kv_len=keys, heads=heads), b200)
    assert (found.splits[0], found.parts[0]) == (splits, parts)
    assert found.ctas(np.array([float(batch)]))[0] <= b200.sms
    assert found.keys[0] * splits >= keys


def test_clusters_combine_up_to_sixteen_splits_of_more_than_one_sequence(b200):
    found = mla_gen.layout(
        calls(batch=[1, 2, 2, 64], kv_len=[4096, 4096, 16384, 64], heads=16), b200
    )
    assert found.clustered.tolist() == [False, True, False, False]


def test_only_blackwell_is_fitted_to_it(b200):
    h200 = machine_of(load_system("H200").gpu)
    ops = calls(batch=[1.0, 2.0], kv_len=64, heads=16)
    key = KernelKey("mla_decode", "bf16", "bf16", "trtllm", "1", "default")
    data = Measured(key, "synthetic", ops, np.array([1e-5, 1e-5]))
    assert may_run(MLA_DECODE, mla_gen.SCHEDULE, [(data, b200)])
    assert not may_run(MLA_DECODE, mla_gen.SCHEDULE, [(data, h200)])


def test_its_parameters_are_found_again_and_are_all_that_a_file_needs(b200):
    grid = np.meshgrid([1, 4, 16, 64, 256], 2.0 ** np.arange(6, 17), [8, 16, 32, 64, 128])
    batch, keys, heads = (axis.ravel().astype(float) for axis in grid)
    ops = calls(batch=batch, kv_len=keys, heads=heads)
    wanted = VALUES | {"gen_step_us": 2.2, "gen_launch_us": 6.0}
    key = KernelKey("mla_decode", "bf16", "bf16", "trtllm", "1", "default")
    found = fit(
        Measured(key, "synthetic", ops, mla_gen.seconds(ops, b200, wanted)),
        b200,
        Options(trees=False),
    )
    assert found.schedule == mla_gen.SCHEDULE
    error = found.formula_s(ops, b200) / mla_gen.seconds(ops, b200, wanted) - 1.0
    assert np.median(np.abs(error)) < 0.02
    assert set(found.parameters) == set(VALUES)
    table = {"parameters": dict(found.parameters), "schedule": found.schedule}
    read = Reader("c.json")._parameters(table, MLA_DECODE, "kernel 1")
    again = replace(found, parameters=read)
    np.testing.assert_array_equal(again.formula_s(ops, b200), found.formula_s(ops, b200))
    del table["parameters"]["gen_step_us"]
    with pytest.raises(BadInput, match="'gen_step_us' is missing"):
        Reader("c.json")._parameters(table, MLA_DECODE, "kernel 1")
