"""Which launches serve chunks and decodes together, and what a decode costs in one."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.make import DATASHEET_FILE, silicon
from tierlab.hwmodels.time.times import launched
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.kernels.ops.table import OPS

KEYS = np.array([1.0, 64.0, 65.0, 4096.0])


def shared(device, model="Llama-3.1-8B", kv_dtype="bf16", path=None, band="mid", keys=1):
    times, made = silicon(path, load_device(device, "test"), None, "test"), load_model(model)
    prefill = prefill_work(made, 1, kv_dtype, 1, keys)
    decode = decode_work(made, 1, kv_dtype, 1, keys, 0)
    found = times.shared(prefill, decode, KEYS, band)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("device", "model", "kv_dtype", "path", "tiles", "queries"),
    [
        ("RTX-4090", "Llama-3.1-8B", "bf16", None, 32, 64),
        ("A100-80G", "Llama-3.1-8B", "bf16", None, 32, 64),
        ("L40S", "Llama-3.1-8B", "bf16", None, 32, 64),
        ("L40S", "Llama-3.1-8B", "bf16", DATASHEET_FILE, 32, 64),
        ("H200", "Llama-3.1-8B", "bf16", None, 8, 32),
        ("H200", "Llama-3.1-8B", "fp8", None, 8, 32),
        ("H200", "Llama-3.1-8B", "bf16", DATASHEET_FILE, 8, 32),
    ],
)
def test_flash_attention_runs_one_kernel(device, model, kv_dtype, path, tiles, queries):
    found = shared(device, model, kv_dtype, path)
    assert found.lanes == tiles / load_device(device, "test").sms
    assert found.queries == queries
    assert (found.empty_s > 0) == (queries == 64)
    assert (np.diff(found.longest_s) >= 0).all()
    assert found.longest_s[2] > found.longest_s[1] or queries == 32


@pytest.mark.parametrize(
    ("device", "model", "kv_dtype"),
    [
        ("B200", "Llama-3.1-8B", "bf16"),
        ("L40S", "Llama-3.1-8B", "fp8"),
        ("H200", "DeepSeek-V3", "bf16"),
        ("H200", "Bamba-9B", "bf16"),
    ],
)
def test_other_kernels_are_launched_apart(device, model, kv_dtype):
    assert shared(device, model, kv_dtype) is None


@pytest.mark.parametrize("device", ["H200", "H100", "L40S", "A100-80G"])
def test_windowed_layers_are_asked_of_their_own_kernel_whatever_one_example_holds(device):
    """A single key lies within any window; the decodes of a step do not."""
    one, many = (shared(device, "gpt-oss-120b", keys=keys) for keys in (1, 4096))
    assert one.longest_s.tolist() == many.longest_s.tolist()
    assert one.read_s.tolist() == many.read_s.tolist()


def test_bands_are_the_chunks_kernels():
    low, mid, high = (shared("H200", band=band).longest_s for band in ("p10", "mid", "p90"))
    assert (low < mid).all()
    assert (mid < high).all()


@pytest.mark.parametrize(("model", "counts"), [("Llama-3.1-8B", 0), ("DeepSeek-V3", 1)])
def test_a_measured_layer_writes_its_keys_itself(model, counts):
    times, made = silicon(None, load_device("H200", "test"), None, "test"), load_model(model)
    for work in (decode_work(made, 1, "bf16", 4, 9, 0), prefill_work(made, 1, "bf16", 4, 9)):
        found = launched(times, work)
        assert (found.ops.op == OPS.index("elementwise")).sum() == counts
        assert len(found.ops) == len(found.step) == len(found.repeat) == len(work.ops) - 1 + counts


@pytest.mark.parametrize(
    ("device", "model", "fewer"),
    [("H200", "Qwen3-30B-A3B", 3), ("H200", "Llama-3.1-8B", 0), ("RTX 4090", "Qwen3-30B-A3B", 0)],
)
def test_a_measured_layer_of_experts_holds_choice_activation_and_sum(device, model, fewer):
    """No calibration of the RTX 4090 has experts: the roofline times their products alone."""
    times, made = silicon(None, load_device(device, "test"), None, "test"), load_model(model)
    work = dense_work(made, "bf16", 1, np.array([3, 40]), np.zeros(2))
    found = launched(times, work)
    assert len(found.ops) == len(found.step) == len(found.repeat) == len(work.ops) - 2 * fewer
    left = found.ops.take(found.ops.op == OPS.index("elementwise"))
    assert left["experts"].any() == (fewer == 0 and made.name == "Qwen3-30B-A3B")
