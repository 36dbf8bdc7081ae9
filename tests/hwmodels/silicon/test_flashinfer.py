"""FlashInfer's decode: tiles of two sizes, and lines that two heads share."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import flashinfer
from tierlab.hwmodels.time.silicon.fit import may_run
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.kernels.ops.table import OpTable

DECODE = KERNELS["decode_attention"]
L40S = machine_of(load_device("L40S", "test"))


def decode(stored="fp8", **shape):
    shape = {"q_len": 1, "head_dim": 64, "heads": 8, "kv_heads": 8} | shape
    return OpTable.build("decode_attention", "bf16", stored, **shape)


def seconds(ops, **changed):
    start = {name: p.start for name, p in DECODE.parameters.items()}
    return DECODE.seconds(ops, L40S, "flashinfer", start | changed)


def test_tiles_have_16_rows_or_64():
    found = seconds(decode(batch=4, kv_len=64, heads=[2, 16, 17, 64], kv_heads=1), ends=0.05)
    assert found[1] / found[0] < 1.01 < found[2] / found[1]
    assert found[3] / found[2] < 1.01


def fetched(**shape):
    ops = decode(**shape)
    return flashinfer.fetched(ops, ops["batch"] * ops["kv_heads"], L40S.sms, L40S.l2_bytes, 6.0)


def test_a_line_is_fetched_for_each_of_its_heads_once_a_batch_lies_between():
    times = fetched(batch=2048, kv_len=[16, 65536], kv_heads=8)
    assert times == pytest.approx([1.0, 2.0], abs=0.01)


def test_heads_that_run_side_by_side_share_their_lines():
    assert fetched(batch=[142, 284], kv_len=131072) == pytest.approx([1.0, 2.0], abs=0.01)


@pytest.mark.parametrize("other", [{"head_dim": 128}, {"kv_heads": 1}, {"stored": "bf16"}])
def test_lines_of_one_head_are_fetched_once(other):
    assert fetched(batch=2048, kv_len=65536, **other) == pytest.approx([1.0])


def test_memory_takes_twice_as_long_where_lines_are_fetched_twice():
    few, many = (seconds(decode(batch=b, kv_len=8192))[0] / b for b in (142, 2048))
    assert many / few == pytest.approx(2.0 - 142 / 1024, rel=0.1)


@pytest.mark.parametrize(
    ("kernel", "runs"),
    [("vllm_flashinfer_fidecode", {"flashinfer"}), ("other", {"fixed", "none", "flashinfer"})],
)
def test_a_kernel_of_that_name_runs_no_other_schedule(kernel, runs):
    ops = decode(batch=[1, 2], kv_len=64)
    key = KernelKey("decode_attention", "bf16", "fp8", "vllm", "1", kernel)
    parts = [(Measured(key, "made", ops, np.array([1e-5, 1e-5])), L40S)]
    assert {
        s for s in ("fixed", "none", "flashinfer", "flash2") if may_run(DECODE, s, parts)
    } == runs
