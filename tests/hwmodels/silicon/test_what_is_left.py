"""Where kernel models do not apply: GPUs of one's own figures, rows without work or without rows."""

from dataclasses import replace

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.registry import time_model
from tierlab.hwmodels.time.times import CALIBRATED, DATASHEET, ROOFLINE, origins
from tierlab.kernels.ops.table import OpTable


@pytest.fixture
def h200():
    return load_device("H200", "test")


def decode(**columns):
    shape = {"batch": 16, "q_len": 1, "kv_len": 8192, "heads": 32, "kv_heads": 8, "head_dim": 128}
    return OpTable.build("decode_attention", "bf16", "bf16", **(shape | columns))


def test_another_gpu_of_the_same_name_is_predicted_from_its_datasheet(h200):
    measured = time_model("silicon", h200, None, "test")
    faster = replace(h200, memory_bandwidth_bytes_per_s=2 * h200.memory_bandwidth_bytes_per_s)
    asked = time_model("silicon", faster, None, "test")
    assert (measured.predict(decode()).source == CALIBRATED).all()
    assert (asked.predict(decode()).source == DATASHEET).all()
    assert asked.predict(decode()).seconds < 0.75 * measured.predict(decode()).seconds
    assert "measured on it" in measured.name
    assert "its datasheet, constants of other GPUs" in asked.name


def test_constants_of_other_gpus_can_be_asked_for(h200):
    times = time_model("silicon:datasheet", h200, None, "test").predict(decode())
    assert (times.source == DATASHEET).all()
    shares = origins(times, times.seconds)
    assert shares == {"datasheet": 1.0, "calibrated": 0.0, "executed": 0.0, ROOFLINE: 0.0}


VOID = {
    "no keys": decode(kv_len=0),
    "nobody decodes": decode(batch=0),
    "no columns": OpTable.build("grouped_gemm", "bf16", m=4, n=0, k=128, experts=64, top_k=64),
    "no rows": OpTable.build("gemm", "bf16", m=0, n=4096, k=4096),
}


@pytest.mark.parametrize("name", VOID)
@pytest.mark.parametrize("spec", ["silicon", "silicon:datasheet"])
def test_rows_without_work_are_the_rooflines(h200, spec, name):
    with np.errstate(all="raise"):
        found = time_model(spec, h200, None, "test").predict(VOID[name])
    plain = time_model("roofline", h200, None, "test").predict(VOID[name])
    np.testing.assert_array_equal(found.seconds, plain.seconds)
    assert origins(found, found.seconds)[ROOFLINE] == 1.0


@pytest.mark.parametrize("nbytes", [1e7, 1e8, 8e9])
def test_a_pass_that_tells_no_rows_uses_the_whole_gpu(h200, nbytes):
    ops = OpTable.build("elementwise", "bf16", bytes=nbytes)
    seconds = time_model("silicon", h200, None, "test").predict(ops).seconds
    alone_s = nbytes / h200.memory_bandwidth_bytes_per_s
    assert 0.2 * alone_s < seconds < 2.5 * alone_s + 5e-6


def test_a_pass_of_few_rows_does_not(h200):
    ops = OpTable.build("elementwise", "bf16", bytes=1e8, m=[1, 0])
    one, spread = time_model("silicon", h200, None, "test").predict(ops).seconds
    assert one > 20 * spread
