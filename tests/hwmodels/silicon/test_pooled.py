"""Constants for an architecture that was left out come from others, of the same kernel first."""

import itertools

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.pooled import ARCHITECTURE, fit_pooled, leave_out
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.kernels.ops.table import OpTable

TRUTH = {"launch_us": 4.0, "hbm_eff": 0.8, "pass_us": 1.5, "sm_gbs": 40.0}
DECODE = KERNELS["decode_attention"]


def part(name, factor=1.0, stored="bf16"):
    """Return times of the formula with `TRUTH`, longer by `factor`."""
    shapes = itertools.product((1, 4, 16, 64), (128, 1024, 8192, 65536), ((32, 8), (8, 8), (8, 1)))
    batch, keys, heads = zip(*shapes, strict=True)
    q, kv = np.array(heads).T
    ops = OpTable.build(
        "decode_attention", "bf16", stored, batch=batch, q_len=1, kv_len=keys, heads=q, kv_heads=kv,
        head_dim=128,
    )  # fmt: skip
    machine = machine_of(load_device(name, "test"))
    p = {n: q.start for n, q in DECODE.parameters.items()} | TRUTH
    key = KernelKey("decode_attention", "bf16", stored, "vllm", "1", "made")
    return Measured(
        key, f"made: {name}", ops, factor * DECODE.seconds(ops, machine, "engine", p)
    ), machine


def error(model, unseen):
    (measured, machine), *_ = unseen
    return np.median(np.abs(model.seconds(measured.ops, machine)[0] / measured.seconds - 1.0))


def test_the_same_kernel_elsewhere_teaches_alone():
    parts = [part("A100-80G"), part("RTX-PRO-6000"), part("H100", factor=3.0), part("L40S")]
    ((model, unseen),) = leave_out(parts, "Ada", family=parts)
    assert model.schedule == "flash2"
    assert model.source == "made: A100-80G+RTX-PRO-6000"
    assert error(model, unseen) < 0.05


def test_all_kernels_teach_one_that_runs_nowhere_else():
    parts = [part("A100-80G"), part("L40S"), part("B200"), part("H100"), part("H200")]
    bytes_ = [part("L40S", stored="fp8"), part("H100", stored="fp8")]
    ((model, unseen),) = leave_out(parts, "Hopper", family=[*parts, *bytes_])
    assert model.schedule == "engine"
    assert model.source == "made: A100-80G+B200+L40S"
    assert len(unseen) == 2
    assert error(model, unseen) < 0.05


def test_what_ships_holds_one_set_a_kernel_with_the_band_of_what_was_left_out():
    parts = [part("A100-80G"), part("L40S"), part("H100")]
    left_out = [pair for a in ("Ada", "Hopper") for pair in leave_out(parts, a, family=parts)]
    made = fit_pooled(parts, left_out)
    assert [m.schedule for m in made] == ["flash2", "flash3"]
    assert made[0].bands == made[1].bands


@pytest.mark.parametrize("name", sorted(ARCHITECTURE))
def test_every_teacher_is_in_the_catalogue(name):
    assert load_device(name, "test").name == name
