"""Formulas behave as machines do, and the schedules as the kernels that they are named for."""

from dataclasses import replace

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.make import calibration_for, silicon
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.kernels.ops.table import OpTable


def start(op: str, **changed: float) -> dict[str, float]:
    return {name: p.start for name, p in KERNELS[op].parameters.items()} | changed


def decode(**columns: object) -> OpTable:
    shape = {"q_len": 1, "heads": 8, "kv_heads": 8, "head_dim": 128} | columns
    return OpTable.build("decode_attention", "bf16", "bf16", **shape)


@pytest.mark.parametrize("op", sorted(KERNELS))
def test_every_parameter_starts_within_its_bounds(op):
    for parameter in KERNELS[op].parameters.values():
        assert 0 < parameter.low < parameter.start < parameter.high
        assert parameter.meaning


@pytest.mark.parametrize("schedule", KERNELS["decode_attention"].schedules)
def test_longer_contexts_never_take_less(schedule, machine):
    ops = decode(batch=4, kv_len=2.0 ** np.arange(7, 18))
    seconds = KERNELS["decode_attention"].seconds(ops, machine, schedule, start("decode_attention"))
    assert (np.diff(seconds) > -1e-6).all()


def test_unsplit_decode_goes_in_waves_and_split_decode_by_bytes():
    """Public A100 tables, 32K, 8 heads: vLLM 0.76 0.77 0.77 0.78 1.58 ms at batch 1 to 16.

    TensorRT-LLM, which splits, 0.13 0.23 0.41 0.79 1.34 ms: vLLM's constants, another schedule.
    """
    a100 = load_device("A100-80G", "test")
    ops = decode(batch=[1, 2, 4, 8, 16], kv_len=32768)
    vllm = silicon(None, a100, None, "test").predict(ops).seconds
    np.testing.assert_allclose(vllm * 1e3, [0.76, 0.77, 0.77, 0.78, 1.58], rtol=0.15)
    fitted = next(
        k.parameters
        for k in calibration_for(a100, None, "test").kernels
        if k.key.op == "decode_attention"
    )
    split = KERNELS["decode_attention"].seconds(ops, machine_of(a100), "fixed", fitted)
    np.testing.assert_allclose(split * 1e3, [0.13, 0.23, 0.41, 0.79, 1.34], rtol=0.2)


def test_the_best_decode_is_no_faster_than_memory(machine):
    ops = decode(batch=64, kv_len=65536)
    p = start("decode_attention", hbm_eff=1.0)
    seconds = KERNELS["decode_attention"].seconds(ops, machine, "flash3", p)
    assert seconds[0] > 64 * 65536 * 8 * 128 * 4 / machine.bytes_per_s


def test_a_cache_within_l2_is_read_faster(machine):
    p = start("decode_attention", launch_us=0.5, miss_us=0.01)
    small, large = decode(batch=4, kv_len=1024), decode(batch=400, kv_len=1024)
    per_byte = [
        KERNELS["decode_attention"].seconds(o, machine, "flash3", p | {"launch_us": 0.5})[0] / n
        for o, n in ((small, 4), (large, 400))
    ]
    memory = 1024 * 8 * 128 * 4 / machine.bytes_per_s
    assert per_byte[1] > memory
    assert per_byte[0] < 6 * memory


def test_large_products_reach_the_stated_share_of_the_peak(machine):
    ops = OpTable.build("gemm", "bf16", "bf16", m=16384, n=16384, k=16384)
    p = start("gemm", peak=0.7, energy_pj=0.02)
    seconds = KERNELS["gemm"].seconds(ops, machine, "fastest", p)[0]
    ideal = 2 * 16384.0**3 / machine.flop_per_s["bf16"] / 0.7
    assert 0.99 < seconds / ideal < 1.2


def test_the_power_limit_slows_long_products_by_the_cube_root(machine):
    """A chip with an eighth of the power runs them at half the clock; short ones as before."""
    sizes = np.array([128.0, 32768.0])
    ops = OpTable.build("gemm", "bf16", "bf16", m=sizes, n=sizes, k=sizes)
    p = start("gemm", energy_pj=1.0)
    full, eighth = (replace(machine, tdp_w=watts) for watts in (400.0, 50.0))
    seconds = [KERNELS["gemm"].seconds(ops, m, "fastest", p) for m in (full, eighth)]
    assert seconds[1] / seconds[0] == pytest.approx([1.0, 2.0], rel=0.02)


@pytest.mark.parametrize(("name", "ghz"), [("H100", 1.83), ("L40S", 2.49), ("RTX-4090", 2.52)])
def test_the_clock_of_the_stated_peak(name, ghz):
    """989.4 TFLOP/s is 132 SMs x 4,096 FLOP a cycle at 1.83 GHz, whatever the highest clock is."""
    assert machine_of(load_device(name, name)).peak_clock_hz == pytest.approx(ghz * 1e9, rel=0.002)


def test_six_weights_in_turn_overflow_l2_where_one_fits(machine):
    ops = OpTable.build("gemm", "bf16", "bf16", m=1, n=4096, k=2048)
    one, six = (start("gemm", copies=c, cold=0.01) for c in (1.0, 6.0))
    times = [KERNELS["gemm"].seconds(ops, machine, "fastest", p)[0] for p in (one, six)]
    assert times[1] - times[0] > 0.4 * 4096 * 2048 * 2 / machine.bytes_per_s


def test_one_more_tile_than_sms_costs_a_wave(machine):
    m = np.array([132.0, 133.0]) * 128
    ops = OpTable.build("gemm", "bf16", "bf16", m=m, n=128, k=16384)
    seconds = KERNELS["gemm"].seconds(ops, machine, "by_rows", start("gemm", whole=1.0))
    assert seconds[1] / seconds[0] > 1.4


def test_causal_prefill_grows_with_its_pairs(machine):
    ops = OpTable.build(
        "prefill_attention", "bf16", "bf16", batch=8, q_len=[4096, 8192], kv_len=[4096, 8192],
        heads=32, kv_heads=8, head_dim=128,
    )  # fmt: skip
    p = start("prefill_attention", heat=1e-3)
    seconds = KERNELS["prefill_attention"].seconds(ops, machine, "packed", p)
    assert seconds[1] / seconds[0] == pytest.approx(4.0, rel=0.1)
