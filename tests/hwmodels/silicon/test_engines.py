"""What kernels' sources say of their tiles, splits and launches, and which kernel a GPU runs."""

import math

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import engines, flash2
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.make import calibration_for, of_calibration
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.kernels.ops.table import OpTable


def decode(kv_dtype="bf16", **columns):
    shape = {"q_len": 1, "heads": 32, "kv_heads": 8, "head_dim": 128} | columns
    return OpTable.build("decode_attention", "bf16", kv_dtype, **shape)


def gpu(name):
    return machine_of(load_device(name, "test"))


def heuristic(tiles, sms, blocks):
    """FlashAttention 2's num_splits_heuristic, in its own order."""
    if tiles >= 0.8 * sms:
        return 1
    most = min(128, sms, blocks)
    eligible = [n < 2 or math.ceil(blocks / n) != math.ceil(blocks / (n - 1)) for n in range(129)]
    filled = {
        n: (tiles * n / sms) / math.ceil(tiles * n / sms) for n in range(1, most + 1) if eligible[n]
    }
    return next(n for n, f in filled.items() if f >= 0.85 * max(filled.values()))


@pytest.mark.parametrize("sms", [108, 142])
def test_flash2_splits_as_its_source_does(sms):
    rng = np.random.default_rng(0)
    tiles = rng.integers(1, 3 * sms, 200)
    blocks = rng.integers(1, 128, 200)
    ours = flash2.splits(tiles.astype(float), blocks.astype(float), sms)
    assert list(ours) == [
        heuristic(int(t), 2 * sms, int(b)) for t, b in zip(tiles, blocks, strict=True)
    ]


def test_flash2_copies_where_packing_swaps_axes_of_several_sequences_and_kv_heads():
    ops = decode(batch=[1, 2, 2, 2], kv_heads=[8, 8, 1, 32], kv_len=1024)
    assert list(flash2.copies(ops)) == [0.0, 2.0, 0.0, 0.0]
    assert flash2.copies(decode(batch=2, kv_len=1024, window=128))[0] == 0.0
    p = {n: q.start for n, q in KERNELS["decode_attention"].parameters.items()}
    a100 = gpu("A100-80G")
    one, two = KERNELS["decode_attention"].seconds(
        decode(batch=[1, 2], kv_len=16), a100, "flash2", p
    )
    copies_s = 2 * p["pass_us"] * 1e-6 * (2e9 / a100.clock_hz) ** 0.5
    assert two - one > 0.9 * copies_s


def test_a_window_reaches_one_block_where_it_ends_on_one_and_two_elsewhere():
    ops = decode(batch=1, kv_len=[1024, 1025, 100], window=128)
    assert list(engines.cut("flash2", ops, gpu("L40S")).blocks) == [1.0, 2.0, 1.0]


def test_trtllm_takes_as_many_ctas_a_sequence_as_sms_are_left():
    ops = decode(batch=[1, 4, 32], kv_len=65536)
    cut = engines.cut("trtllm", ops, gpu("B200"))
    assert list(cut.tiles) == [8.0, 32.0, 256.0]
    assert list(cut.splits) == [18.0, 4.0, 1.0]


@pytest.mark.parametrize(
    ("name", "wide", "narrow"),
    [
        ("H100", "flash3", "flash3"),
        ("B200", "trtllm", "trtllm"),
        ("L40S", "flash2", "flashinfer"),
        ("RTX-PRO-6000", "flash2", "flashinfer"),
    ],
)
def test_each_generation_runs_its_kernels(name, wide, narrow):
    assert engines.engine(gpu(name), eight=False) == wide
    assert engines.engine(gpu(name), eight=True) == narrow
    device = load_device(name, "test")
    model = of_calibration(calibration_for(device, None, "x", datasheet=True), device, None)
    for stored, kernel in (("bf16", wide), ("fp8", narrow)):
        _, member = model.explain(decode(stored, batch=4, kv_len=4096))
        assert model.kernels()[member[0]].endswith(f"pooled {kernel}")


def test_flash2_prefill_has_tiles_of_64_queries():
    """The splitting kernel, which paged caches take: 64 x 128 for heads of 128."""
    p = {k: v.start for k, v in KERNELS["prefill_attention"].parameters.items()}
    ops = OpTable.build(
        "prefill_attention", "bf16", "bf16", batch=64, q_len=[64, 65, 128], kv_len=8192,
        heads=32, kv_heads=1, head_dim=128,
    )  # fmt: skip
    one, two, whole = KERNELS["prefill_attention"].seconds(ops, gpu("L40S"), "flash2", p)
    assert two > 1.8 * one
    assert whole == pytest.approx(two, rel=0.02)


def chunk(batch, q_len, kv_len):
    return OpTable.build(
        "prefill_attention", "bf16", "bf16", batch=batch, q_len=q_len, kv_len=kv_len,
        heads=32, kv_heads=1, head_dim=128,
    )  # fmt: skip


def test_softmax_takes_its_time_whatever_the_rate_of_the_tensor_cores():
    """It is one more share of a block on every card, and no share where it is of several."""
    l40s, rtx = gpu("L40S"), gpu("RTX-4090")
    names = KERNELS["prefill_attention"].parameters
    plain = {k: v.start for k, v in names.items()} | {"vector": 1e-3, "heat": 1e-3}
    ops, seconds = chunk(64, 2048, 2048), KERNELS["prefill_attention"].seconds
    for schedule, more in (("flash2", 0.5), ("engine", 0.0)):
        extra = [
            (seconds(ops, m, schedule, plain | {"vector": 0.501}) - seconds(ops, m, schedule, plain))
            * m.sms * m.clock_hz / (64 * 32 * 2048 * 2048 / 2)
            for m in (l40s, rtx)
        ]  # fmt: skip
        assert extra == pytest.approx([more] * 2, rel=0.15)


def test_flash2_tiles_behind_a_long_past_make_whole_waves():
    """32 heads x 8 tiles fill 128 SMs twice; one tile more a head is a third wave."""
    p = {k: v.start for k, v in KERNELS["prefill_attention"].parameters.items()} | {"whole": 1.0}
    ops = chunk(1, [128, 256, 512, 513], 65536)
    one, same, two, three = KERNELS["prefill_attention"].seconds(ops, gpu("RTX-4090"), "flash2", p)
    assert same == pytest.approx(one, rel=0.03)
    assert [two / one, three / one] == pytest.approx([2.0, 3.0], rel=0.05)


def test_flash2_loads_whole_blocks_for_a_window_and_again_for_each_head():
    """Keys 897 to 1,024 are a block of 128; of 256, they are half of one."""
    ops = decode(batch=1, kv_len=[1024, 1025, 100], window=128)
    keys, passes = flash2.read(ops)
    assert (list(keys), list(passes)) == ([128.0, 129.0, 100.0], [4.0] * 3)
    narrow, _ = flash2.read(decode(batch=1, kv_len=1024, window=128, head_dim=64))
    assert narrow[0] == 256.0
    assert [v[0] for v in flash2.read(decode(batch=1, kv_len=1024))] == [1024.0, 1.0]
    assert flash2.read(decode(batch=1, kv_len=1024, kv_heads=32))[1][0] == 1.0


def test_heads_of_a_group_find_keys_in_l2_while_those_of_one_kv_head_fit():
    """L2 holds 96 MiB: of 8 KV heads those of 512 sequences have 32 MiB each, of 2,048 128."""
    kernel, machine = KERNELS["decode_attention"], gpu("L40S")
    p = {n: q.start for n, q in kernel.parameters.items()} | {"power": 9.0}
    one, four = (
        kernel.seconds(
            decode(batch=[512, 2048], kv_len=256, window=128, heads=h), machine, "flash2", p
        )
        for h in (8, 32)
    )
    assert four[0] / one[0] < 3.0
    assert four[1] / one[1] > 3.7
