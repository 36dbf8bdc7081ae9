"""No prediction is faster than the arithmetic and the memory of its GPU allow."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.kernels.ops.table import OpTable

GPUS = ["H200", "H100", "A100-80G", "B200", "L40S", "RTX-4090", "RTX-PRO-6000"]
BOOST = 1.03
"""Cards clock above what their datasheet counts with: an RTX 4090's products by 1%."""
HEADS = [(32, 8, 128), (64, 8, 64), (16, 8, 256), (8, 1, 128), (32, 32, 128)]


def grid(**axes):
    """Return columns of all combinations."""
    columns = np.meshgrid(*(np.asarray(axis, float) for axis in axes.values()))
    return {name: column.ravel() for name, column in zip(axes, columns, strict=True)}


@pytest.fixture(scope="module", params=GPUS)
def gpu(request):
    device = load_device(request.param, "test")
    return silicon(None, device, None, "x"), machine_of(device)


def beyond_l2_s(moved, machine):
    """Return the time of what the L2 cannot have kept."""
    return np.maximum(moved - machine.l2_bytes, 0.0) / machine.bytes_per_s


def test_products(gpu):
    model, machine = gpu
    at = grid(m=2.0 ** np.arange(17), n=[128, 4096, 14336, 57344], k=[128, 4096, 16384])
    seconds = model.predict(OpTable.build("gemm", "bf16", "bf16", **at)).seconds
    weights = 2.0 * at["n"] * at["k"]
    moved = weights + 2.0 * at["m"] * (at["n"] + at["k"])
    least = np.maximum(weights * at["m"] / machine.peak("bf16"), beyond_l2_s(moved, machine))
    assert (least < BOOST * seconds).all()


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), HEADS)
@pytest.mark.parametrize("cache", ["bf16", "fp8"])
def test_decodes(gpu, heads, kv_heads, dim, cache):
    model, machine = gpu
    at = grid(batch=2.0 ** np.arange(0, 11, 2), kv_len=2.0 ** np.arange(0, 21, 2))
    shape = {"q_len": 1, "heads": heads, "kv_heads": kv_heads, "head_dim": dim}
    seconds = model.predict(OpTable.build("decode_attention", "bf16", cache, **at, **shape)).seconds
    moved = at["batch"] * at["kv_len"] * kv_heads * dim * (4.0 if cache == "bf16" else 2.0)
    assert (beyond_l2_s(moved, machine) < seconds).all()


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), HEADS)
def test_chunks(gpu, heads, kv_heads, dim):
    model, machine = gpu
    at = grid(batch=[1, 16], q_len=2.0 ** np.arange(0, 16, 3), past=[0, 8192, 524288])
    past = at.pop("past")
    shape = {"kv_len": at["q_len"] + past, "heads": heads, "kv_heads": kv_heads, "head_dim": dim}
    ops = OpTable.build("prefill_attention", "bf16", "bf16", **at, **shape)
    pairs = at["batch"] * at["q_len"] * (past + (at["q_len"] + 1.0) / 2.0)
    least = 4.0 * pairs * heads * dim / machine.peak("bf16")
    assert (least < model.predict(ops).seconds).all()


@pytest.mark.parametrize("keys", [0.0, 1.0])
def test_samples_and_selections(gpu, keys):
    model, machine = gpu
    at = grid(m=2.0 ** np.arange(15), n=2.0 ** np.arange(10, 21, 2), k=[0, 8, 45])
    ops = OpTable.build("sample", "fp32", **at, kv_len=keys * at["n"])
    seconds = model.predict(ops).seconds
    assert (beyond_l2_s(4.0 * at["m"] * at["n"], machine) < BOOST * seconds).all()
