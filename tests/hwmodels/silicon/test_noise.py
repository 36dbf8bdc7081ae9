"""The data's own noise is counted in neighbours that differ in size alone."""

import numpy as np
import pytest

from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.noise import falls, shares
from tierlab.kernels.ops.table import OpTable


def measured(op, seconds, **columns):
    key = KernelKey(op, "bf16", "bf16", "test", "1", "hand")
    ops = OpTable.build(op, "bf16", "bf16", **columns)
    return Measured(key, "hand", ops, np.array(seconds, float))


def test_a_larger_product_that_took_less_falls():
    data = measured("gemm", [4.0, 3.0, 2.0, 9.0], m=[4, 1, 2, 8], n=[64, 64, 64, 32], k=64)
    found = falls(data)
    assert np.isnan(found[[0, 3]]).all()
    assert found[1] == pytest.approx(np.log(1.5))
    assert found[2] == pytest.approx(-np.log(2.0))
    assert shares(found) == (0.5, 0.5)


def test_prefills_of_one_past_are_compared():
    shape = {"batch": 1, "heads": 8, "kv_heads": 8, "head_dim": 64}
    data = measured(
        "prefill_attention", [2.0, 1.99, 3.0], q_len=[16, 32, 32], kv_len=[16, 32, 1056], **shape
    )
    found = falls(data)
    assert np.isnan(found[1:]).all()
    assert shares(found) == (1.0, 0.0)


def test_without_neighbours_there_is_no_share():
    data = measured("all_reduce", [1.0, 1.0], devices=[2, 4], bytes=[1024, 1024])
    assert np.isnan(shares(falls(data))).all()
