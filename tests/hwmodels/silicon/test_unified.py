"""vLLM's attention in Triton: segments, steps, windows and CTAs that end at once, by hand."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import unified
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.kernels.ops.table import OpTable

START = {name: p.start for name, p in unified.PARAMETERS.items()}


@pytest.fixture(scope="module")
def l40s() -> Machine:
    return machine_of(load_device("L40S", "test"))


def decodes(**columns: object) -> OpTable:
    shape = {"q_len": 1, "heads": 1, "kv_heads": 1, "head_dim": 192}
    return OpTable.build("decode_attention", "bf16", "fp8", **(shape | columns))


def seconds(ops: OpTable, machine: Machine, **changed: float) -> np.ndarray:
    return unified.seconds(ops, machine, unified.SCHEDULE, START | changed)


def test_decodes_are_cut_in_sixteen_until_the_grid_is_full():
    few = decodes(batch=[1, 64, 65, 500], kv_len=4096, kv_heads=2, heads=2)
    assert unified.segments(few).tolist() == [16, 16, 1, 1]


def test_chunks_are_never_cut():
    ops = OpTable.build("prefill_attention", "bf16", "fp8", batch=1, q_len=16, kv_len=16, heads=1,
                        kv_heads=1, head_dim=192)  # fmt: skip
    assert unified.segments(ops).tolist() == [1]


@pytest.mark.parametrize(("heads", "rows"), [(1, 16), (16, 16), (20, 32), (64, 64)])
def test_rows_of_a_tile_hold_a_group(heads, rows):
    assert unified.rows(decodes(batch=1, kv_len=64, heads=heads)).tolist() == [rows]


def test_short_sequences_fill_the_first_segments(l40s):
    """64 keys are 4 steps of 16: 12 of 16 segments end at once; 1,024 keys are 4 steps each."""
    ops, busy = decodes(batch=64, kv_len=[64, 1024]), {"heat": 1e-3, "power": 9.0, "l2_speed": 8.0}
    short, full = seconds(ops, l40s, ended=7000.0, **busy) - seconds(ops, l40s, **busy)
    assert full == pytest.approx(4 * 16 / l40s.sms * 6300.0 / l40s.clock_hz, rel=1e-3)
    assert short / full == pytest.approx((64 * 12 + 4 * 16) / (4 * 16), rel=1e-3)


def test_a_window_leaves_out_steps_not_segments(l40s):
    """Beyond 128 x 16 keys a window of 128 keys lies in one segment, however long the cache."""
    ops = decodes(batch=8, kv_len=[2048, 8192, 131072], window=128)
    assert np.ptp(seconds(ops, l40s)) < 1e-9
    assert (seconds(decodes(batch=8, kv_len=131072), l40s) > 5.0 * seconds(ops, l40s)).all()


def test_a_grid_larger_than_the_gpu_puts_two_on_one_sm(l40s):
    """142 SMs, 8 sequences of 16 segments: 128 CTAs; with two heads a KV head room for 144.

    Public L40S times: 45.7 us and 58.0 us.
    """
    one, two = seconds(decodes(batch=8, kv_len=16384, heads=[1, 2]), l40s)
    assert two > 1.15 * one


def test_heads_of_another_width_cost_their_padded_columns(l40s):
    ops = decodes(batch=1, kv_len=32768, head_dim=[256, 192, 128])
    wide, same, narrow = seconds(ops, l40s, far=1e-3)
    assert same == pytest.approx(wide, rel=0.02)
    assert narrow < 0.7 * same


def test_storing_tokens_takes_as_long_whatever_the_heads(l40s):
    def stored(heads: int) -> float:
        ops = decodes(batch=2048, kv_len=2, heads=heads, kv_heads=heads)
        return float((seconds(ops, l40s, store_us=5.0) - seconds(ops, l40s, store_us=4.0))[0])

    assert stored(1) == pytest.approx(stored(4))


@pytest.mark.parametrize("window", [0, 128])
def test_longer_contexts_never_take_less(window, l40s):
    ops = decodes(batch=4, kv_len=2.0 ** np.arange(11, 18), window=window)
    assert (np.diff(seconds(ops, l40s)) > -1e-9).all()
