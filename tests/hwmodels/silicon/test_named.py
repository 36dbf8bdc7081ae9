"""Kernels that their name tells: splits and tiles of Triton and FlashAttention 4, by hand."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import named
from tierlab.hwmodels.time.silicon.calibration import load, shipped
from tierlab.hwmodels.time.silicon.decode import DECODE
from tierlab.hwmodels.time.silicon.fit import fit_parameters
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.kernels.ops.table import OpTable


def decodes(**columns: object) -> OpTable:
    heads = {"heads": 16, "kv_heads": 2, "head_dim": 128}
    return OpTable.build("decode_attention", "bf16", "bf16", **({"q_len": 1} | heads | columns))


def test_triton_cuts_decodes_in_sixteen_until_the_grid_is_full():
    ops = decodes(batch=[1, 64, 65, 500], kv_len=4096)
    assert named.splits(named.TRITON, ops).tolist() == [16, 16, 1, 1]


def test_flash4_splits_whatever_a_graph_may_hold():
    ops = decodes(batch=[1, 512, 513], kv_len=8)
    assert named.splits(named.FLASH4, ops).tolist() == [32, 32, 1]


@pytest.mark.parametrize(("heads", "rows"), [(1, 16), (16, 16), (20, 32), (64, 64)])
def test_rows_of_a_triton_tile_hold_a_group(heads, rows):
    ops = decodes(batch=1, kv_len=64, heads=heads, kv_heads=1)
    assert named.triton_rows(ops).tolist() == [rows]


def test_idle_splits_cost_more_than_none():
    """512 sequences of 8 keys, heads 512 wide: 32 splits each; 1,024 have none."""
    model = load(shipped("H200"), "test")
    machine = machine_of(load_device("H200", "test"))
    fa4 = next(k for k in model.kernels if "fa4" in k.key.kernel and k.key.op == DECODE.op)
    assert fa4.schedule == named.FLASH4
    ops = decodes(batch=[512, 1024], kv_len=8, head_dim=512)
    few, many = fa4.formula_s(ops, machine)
    assert few > 5.0 * many


@pytest.mark.parametrize(("kernel", "tried"), [("x_fa4", True), ("other", False)])
def test_a_schedule_is_tried_for_its_kernel_only(kernel, tried, synthetic, machine):
    part = synthetic("decode_attention", named.FLASH4)
    key = KernelKey("decode_attention", "bf16", "bf16", "test", "1", kernel)
    schedule, _ = fit_parameters(DECODE, [(Measured(key, "x", part.ops, part.seconds), machine)], 0)
    assert (schedule == named.FLASH4) == tried
    assert np.isfinite(part.seconds).all()
