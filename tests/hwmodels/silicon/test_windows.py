"""A window that holds all keys is none: engines drop it, and public times are the same."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.silicon.windows import dropped, minds, without
from tierlab.kernels.ops.table import OpTable

HEADS = {"heads": 32, "kv_heads": 8, "head_dim": 128}


def calls(op, cache="bf16", **columns):
    return OpTable.build(op, "bf16", cache, **HEADS, **columns)


def chunks(window, cache="bf16"):
    """Chunks of 16 to 1,024 queries, the last of which sees 2,064 to 3,072 keys."""
    queries = 2.0 ** np.arange(4, 11)
    keys = queries + 2048
    return calls("prefill_attention", cache, batch=2, q_len=queries, kv_len=keys, window=window)


def decodes(window, keys=4096, **more):
    batch = np.array([1, 4, 16, 64.0])
    return calls("decode_attention", batch=batch, q_len=1, kv_len=keys, window=window, **more)


@pytest.mark.parametrize("device", ["H200", "H100", "B200", "L40S", "A100-80G", "RTX-PRO-6000"])
@pytest.mark.parametrize("cache", ["bf16", "fp8"])
def test_a_chunk_within_its_window_takes_what_it_takes_without(device, cache):
    model = silicon(None, load_device(device, "test"), None, "x")
    bound, free, full = (model.predict(chunks(w, cache)) for w in (2000, 3072, 0))
    assert free.seconds.tolist() == full.seconds.tolist()
    assert free.p90.tolist() == full.p90.tolist()
    assert (bound.seconds != full.seconds).all()


@pytest.mark.parametrize("device", ["H200", "H100", "B200", "L40S"])
@pytest.mark.parametrize("cache", ["bf16", "fp8"])
def test_a_window_that_holds_nearly_all_keys_changes_little(device, cache):
    """No public table has chunks over past keys: two models fitted apart have to agree on them."""
    model = silicon(None, load_device(device, "test"), None, "x")
    bound, full = (model.predict(chunks(w, cache)).seconds for w in (2000, 0))
    assert (bound < 1.4 * full).all()
    assert (bound > 0.65 * full).all()


def test_flash_attention_2_minds_a_window_of_single_queries():
    """One query head a tile instead of all that share a KV head."""
    l40s = silicon(None, load_device("L40S", "test"), None, "x")
    times = [l40s.predict(decodes(window)).seconds for window in (4096, 0)]
    assert (times[0] > 1.5 * times[1])[:2].all()
    h200 = silicon(None, load_device("H200", "test"), None, "x")
    free, full = (h200.predict(decodes(window)).seconds for window in (4096, 0))
    assert free.tolist() == full.tolist()


def test_one_sequence_beyond_the_window_is_enough():
    held = decodes(4096, kv_len_spread=0.0)
    assert dropped(held, minds=False).all()
    assert not dropped(decodes(4096, kv_len_spread=0.1), minds=False).any()
    assert not dropped(held, minds=True).any()
    assert not dropped(decodes(0), minds=False).any()
    assert dropped(chunks(4096), minds=True).all()


def test_windows_are_taken_from_some_rows_alone():
    rows = np.array([True, False, False, True])
    assert without(decodes(4096), rows)["window"].tolist() == [0, 4096, 4096, 0]


@pytest.mark.parametrize(
    ("kernel", "said"),
    [("vllm_flash_attn_fa2", True), ("flash_attn", True), ("pooled flash2", True),
     ("vllm_flash_attn_fa3", False), ("vllm_flashinfer_fidecode", False), ("measured", False)],
)  # fmt: skip
def test_flash_attention_2_is_told_by_name(kernel, said):
    assert minds(kernel) is said
