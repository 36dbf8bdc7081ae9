"""Kernels that their name tells: their models are found, fitted and read back."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import flash4, registry, unified
from tierlab.hwmodels.time.silicon.calibration import Calibration, dump, load, shipped
from tierlab.hwmodels.time.silicon.decode import DECODE
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.repeats import READS
from tierlab.kernels.ops.table import COLUMNS, OpTable


def decodes(**columns: object) -> OpTable:
    heads = {"heads": 16, "kv_heads": 2, "head_dim": 128}
    return OpTable.build("decode_attention", "bf16", "bf16", **({"q_len": 1} | heads | columns))


def test_idle_splits_cost_more_than_none():
    """512 sequences of 8 keys, heads 512 wide: 32 splits each; 1,024 have none."""
    model = load(shipped("H200"), "test")
    machine = machine_of(load_device("H200", "test"))
    fa4 = next(k for k in model.kernels if "fa4" in k.key.kernel and k.key.op == DECODE.op)
    ops = decodes(batch=[512, 1024], kv_len=8, head_dim=512)
    assert fa4.schedule == flash4.SCHEDULE
    few, many = fa4.formula_s(ops, machine)
    assert few > 5.0 * many


NAMED = [(n.mark, k) for n in registry.NAMED for k in n.models]


@pytest.mark.parametrize(("mark", "kernel"), NAMED)
def test_every_parameter_of_a_named_model_starts_within_its_bounds(mark, kernel):
    for parameter in kernel.parameters.values():
        assert 0 < parameter.low < parameter.start < parameter.high
        assert parameter.meaning


@pytest.mark.parametrize(("mark", "kernel"), NAMED)
def test_named_models_read_only_what_runs_compare(mark, kernel, machine):
    p = {key: value.start for key, value in kernel.parameters.items()}

    def told(ops: OpTable) -> list[np.ndarray]:
        seconds = kernel.seconds(ops, machine, kernel.schedules[0], p)
        asked = kernel.asked(ops, machine, kernel.schedules[0], p, seconds)
        return [seconds, *asked.values(), *kernel.coordinates(ops).values()]

    def drawn() -> OpTable:
        values = 2.0 ** np.random.default_rng(0).integers(4, 12, (len(COLUMNS), 50))
        values[COLUMNS.index("kv_len")] *= 4096.0
        columns = dict(zip(COLUMNS, values, strict=True)) | {"window": 0, "latent_rank": 0}
        return OpTable.build(kernel.op, "bf16", "bf16", **columns)

    ops, other = drawn(), drawn()
    for column in set(COLUMNS) - set(READS[kernel.op]):
        other[column][:] = 3.0
    np.testing.assert_array_equal(told(ops), told(other))


@pytest.mark.parametrize(("mark", "kernel"), NAMED)
def test_a_schedule_of_their_own_leads_back_to_named_models(mark, kernel):
    assert registry.model_with(kernel.op, kernel.schedules[0]) is kernel
    assert registry.model_with(kernel.op, "none") is registry.KERNELS[kernel.op]


@pytest.mark.parametrize(
    ("kernel", "device", "head_dim", "own"),
    [
        ("vllm_flash_attn_fa4", "H200", 512, flash4.DECODE),
        ("vllm_flash_attn_fa4", "H200", 128, DECODE),
        ("vllm_flash_attn_fa4", "B200", 512, DECODE),
        ("vllm_triton_attn", "L40S", 192, unified.DECODE),
        ("vllm_flash_attn_fa3", "H200", 512, DECODE),
    ],
)
def test_models_of_their_own_are_fitted_where_they_hold(kernel, device, head_dim, own):
    key = KernelKey("decode_attention", "bf16", "bf16", "vllm", "1", kernel)
    measured = Measured(key, "x", decodes(batch=1, kv_len=64, head_dim=head_dim), np.ones(1))
    assert registry.model_of(measured, machine_of(load_device(device, "test"))) is own


@pytest.mark.parametrize(("mark", "kernel"), NAMED)
def test_a_named_model_is_fitted_and_read_back(mark, kernel, machine, tmp_path):
    heads = {"heads": [1.0, 2.0, 4.0, 8.0], "head_dim": [512.0]}
    axes = {"batch": 2.0 ** np.arange(0, 10, 2), "q_len": [16.0], "kv_len": [64.0, 512.0, 4096.0]}
    if kernel.op == "decode_attention":
        axes["q_len"] = [1.0]
    axes |= heads
    if kernel.op == "gemm":
        axes = {c: 2.0 ** np.arange(low, 15, 3) for c, low in (("m", 0), ("n", 8), ("k", 8))}
    mesh = np.meshgrid(*axes.values(), indexing="ij")
    columns = {n: a.ravel() for n, a in zip(axes, mesh, strict=True)} | {"kv_heads": 1.0}
    ops = OpTable.build(kernel.op, "bf16", "bf16", **columns)
    p = {name: value.start for name, value in kernel.parameters.items()}
    p |= {"launch_us": p["launch_us"] * 1.5}
    seconds = kernel.seconds(ops, machine, kernel.schedules[0], p)
    key = KernelKey(kernel.op, "bf16", "bf16", "vllm", "1", f"vllm{mark}")
    made = fit(Measured(key, "synthetic", ops, seconds), machine, Options(trees=False))
    assert made.kernel is kernel
    assert np.median(np.abs(made.formula_s(ops, machine) / seconds - 1.0)) < 0.01
    path = tmp_path / "made.json"
    path.write_text(dump(Calibration(machine.name, "2026-11-21", (made,))))
    again = load(path, "test").kernels[0]
    np.testing.assert_allclose(again.formula_s(ops, machine), seconds, rtol=0.2)
