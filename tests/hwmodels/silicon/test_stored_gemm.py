"""Products of weights stored in few bits: read, modelled and shipped."""

import numpy as np
import polars as pl
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import stored_tiles
from tierlab.hwmodels.time.silicon.aiconfigurator import EVENTS_S, read_system
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.make import calibration_for, of_calibration, silicon
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.registry import KERNELS, model_of, model_with
from tierlab.hwmodels.time.silicon.stored_gemm import MARKS, MODELS, PARAMETERS
from tierlab.kernels.ops.table import OpTable

WEIGHT_ONLY = "trt_flow_/weight_only_quant_matmul_L257/PLUGIN_V2_WeightOnlyQuantMatmul_0"
SMOOTH_QUANT = "trt_flow_/smooth_quant_gemm_L96/PLUGIN_V2_SmoothQuantGemm_0"
GPUS = ["A100-80G", "H200", "B200", "L40S", "RTX-4090"]
MODEL = {schedule: MODELS[mark] for schedule, mark in MARKS.items()}
START = {name: p.start for name, p in PARAMETERS.items()}


def gpu(name):
    return machine_of(load_device(name, name))


ROWS = tuple(2.0 ** np.arange(14))


def grid(m=ROWS, n=(128, 1024, 4096, 14336), k=(128, 1024, 4096, 16384)):
    return {c: a.ravel() for c, a in zip("mnk", np.meshgrid(m, n, k, indexing="ij"), strict=True)}


def seconds(name, schedule, dtype, stored, **at):
    p = {n: START[n] for n in MODEL[schedule].parameters}
    ops = OpTable.build("gemm", dtype, stored, **at)
    return MODEL[schedule].seconds(ops, gpu(name), schedule, p)


KINDS = [("weight_only", "bf16", "int4"), ("weight_only", "bf16", "int8")]
KINDS += [("smooth_quant", "int8", "int8")]


def write(folder, **dtypes):
    """Write a table of products; `dtypes`: name -> kernel, and ms."""
    folder.mkdir(parents=True)
    rows = [
        {"gemm_dtype": d, "m": 1, "n": 256, "k": 128, "kernel_source": kernel, "latency": ms}
        for d, (kernel, ms) in dtypes.items()
    ]
    pl.DataFrame(rows).write_parquet(folder / "gemm_perf.parquet")


@pytest.fixture
def tables(tmp_path):
    trt, sgl = (tmp_path / s / "gemm" / f for s, f in (("a100_sxm", "trtllm"), ("h", "sglang")))
    write(
        trt / "1.0.0", bfloat16=("torch_flow", 0.01), int8_wo=(WEIGHT_ONLY, 0.02),
        int4_wo=(WEIGHT_ONLY, 0.03), sq=(SMOOTH_QUANT, 0.04), nibble=("x", 0.05),
    )  # fmt: skip
    write(sgl / "0.5.14", bfloat16=("new", 0.01))
    write(sgl / "0.5.6.post2", bfloat16=("old", 0.02), int8_wo=("old", 0.03))
    write(sgl / "0.5.2", int8_wo=("older", 0.04))
    return tmp_path


def kinds(parts):
    return {(p.key.dtype, p.key.kv_dtype): (p.key.version, p.seconds[0]) for p in parts}


def test_dtypes_of_tensorrt_llms_plugins_and_their_time_between_two_events(tables):
    assert kinds(read_system("a100_sxm", "trtllm", None, tables)) == {
        ("bf16", "bf16"): ("1.0.0", pytest.approx(10e-6)),
        ("bf16", "int8"): ("1.0.0", pytest.approx(20e-6 - EVENTS_S)),
        ("bf16", "int4"): ("1.0.0", pytest.approx(30e-6 - EVENTS_S)),
        ("int8", "int8"): ("1.0.0", pytest.approx(40e-6 - EVENTS_S)),
    }


def test_a_pair_of_dtypes_comes_from_the_newest_version_that_has_it(tables):
    """SGLang's collector multiplied in 8 bits what it called weight-only."""
    assert kinds(read_system("h", "sglang", None, tables)) == {
        ("bf16", "bf16"): ("0.5.14", pytest.approx(10e-6)),
        ("int8", "int8"): ("0.5.6.post2", pytest.approx(30e-6)),
    }
    assert {v for v, _ in kinds(read_system("h", "sglang", "0.5.14", tables)).values()} == {
        "0.5.14"
    }


def test_attention_comes_from_one_version(tmp_path):
    for version, stored in (("2", "bfloat16"), ("1", "fp8")):
        folder = tmp_path / "s" / "attention" / "vllm" / version
        folder.mkdir(parents=True)
        row = {"batch_size": 1, "isl": 1, "step": 5, "num_heads": 8, "num_key_value_heads": 8}
        row |= {"head_dim": 128, "window_size": 0, "attn_dtype": "bfloat16", "latency": 0.01}
        row |= {"kv_cache_dtype": stored, "kernel_source": "x"}
        pl.DataFrame([row]).write_parquet(folder / "generation_attention_perf.parquet")
    (only,) = read_system("s", "vllm", None, tmp_path)
    assert (only.key.version, only.key.kv_dtype) == ("2", "bf16")


@pytest.mark.parametrize("name", GPUS)
@pytest.mark.parametrize(("schedule", "dtype", "stored"), KINDS)
def test_more_rows_columns_or_inputs_take_no_less(name, schedule, dtype, stored):
    at = grid()
    found = seconds(name, schedule, dtype, stored, **at).reshape(14, 4, 4)
    for axis in range(3):
        assert (np.diff(found, axis=axis) > -1e-12).all()


@pytest.mark.parametrize("name", GPUS)
def test_fewer_bits_take_no_longer(name):
    for at, least in ((grid(), 1.0), ({"m": 1.0, "n": 65536.0, "k": 4096.0}, 1.6)):
        four, eight = (seconds(name, "weight_only", "bf16", s, **at) for s in ("int4", "int8"))
        assert (eight / four >= least).all()


@pytest.mark.parametrize("name", GPUS)
@pytest.mark.parametrize(("schedule", "dtype", "stored"), KINDS)
def test_nothing_is_faster_than_memory_and_arithmetic(name, schedule, dtype, stored):
    at, machine = grid(), gpu(name)
    found = seconds(name, schedule, dtype, stored, **at)
    moved = at["n"] * at["k"] * (0.5 if stored == "int4" else 1.0)
    work = 2.0 * at["m"] * at["n"] * at["k"]
    assert (moved / machine.bytes_per_s < found).all()
    assert (work / machine.peak(dtype) < found).all()


def test_widening_costs_a_tile_of_few_rows_most():
    """A weight is widened once for 16 rows or for 128: what it adds is shared by more."""
    added = []
    for m in (16.0, 8192.0):
        ops = OpTable.build("gemm", "bf16", "int4", m=[m], n=65536, k=4096)
        with_it, free = (
            MODEL["weight_only"].seconds(
                ops, gpu("A100-80G"), "weight_only", {**START, "widen": w}
            )[0]
            for w in (8.0, 0.01)
        )
        added.append(with_it / free)
    assert added[0] > 1.2 * added[1] > 1.2


@pytest.mark.parametrize(("name", "share"), [("A100-80G", 1.0), ("H200", 0.5), ("B200", 0.25)])
def test_weights_in_registers_are_multiplied_by_instructions_of_a_warp(name, share):
    at = {"m": 16384.0, "n": 16384.0, "k": 16384.0}
    least = 2.0 * at["m"] * at["n"] * at["k"] / gpu(name).peak("bf16") / START["peak"]
    took = seconds(name, "weight_only", "bf16", "int4", **at)[0]
    assert 1.0 < took / (least / share) < 1.7


def test_k_is_split_in_whole_steps_alike():
    """448 inputs are 7 steps, and can be split 7 ways; 512 are 8, in 2 or 4: two steps long."""
    slow = {**START, "step_ns": 3000.0, "reduce_us": 0.05, "few_ns": 30.0}
    ops = OpTable.build("gemm", "bf16", "int8", m=64, n=128, k=[448, 512])
    seven, four = MODEL["weight_only"].seconds(ops, gpu("A100-80G"), "weight_only", slow) - 4e-6
    assert 3.0e-6 < seven < 4.5e-6
    assert 6.0e-6 < four < 7.5e-6


def test_plain_and_compiled_agree(monkeypatch):
    at = grid(m=(1.0, 7.0, 100.0), n=(128, 5000), k=(128, 4096))
    ways = []
    for few in (True, False):
        monkeypatch.setattr(stored_tiles, "plain", lambda rows, few=few: few)
        ways.append([seconds("H200", *kind, **at) for kind in KINDS])
    np.testing.assert_allclose(*ways, rtol=1e-12)


def test_names_tell_the_schedule_and_a_fit_finds_it():
    machine = gpu("A100-80G")
    at = grid(n=(256, 1024, 4096, 12288, 16384), k=(256, 1024, 4096, 7168, 16384))
    ops = OpTable.build("gemm", "bf16", "int4", **at)
    truth = START | {"launch_us": 6.0, "peak": 0.6}
    true = MODEL["weight_only"].seconds(ops, machine, "weight_only", truth)
    noise = np.random.default_rng(0).normal(0.0, 0.01, len(true))
    key = KernelKey("gemm", "bf16", "int4", "trtllm", "1", WEIGHT_ONLY.lower())
    part = Measured(key, "synthetic", ops, true * np.exp(noise))
    assert model_of(part, machine) is MODEL["weight_only"]
    found = fit(part, machine, Options(trees=False))
    assert found.schedule == "weight_only"
    assert np.median(np.abs(found.formula_s(ops, machine) / true - 1.0)) < 0.01
    plain = Measured(KernelKey("gemm", "bf16", "bf16", "x", "1", "y"), "s", ops, true)
    assert model_of(plain, machine) is KERNELS["gemm"]


def ask(model, dtype, stored, **at):
    ops = OpTable.build("gemm", dtype, stored, **at)
    times, member = model.explain(ops)
    return times, [model.kernels()[g] if g >= 0 else "roofline" for g in member]


@pytest.mark.parametrize(
    ("dtype", "stored", "mark"),
    [("bf16", "int4", "weightonly"), ("bf16", "int8", "weightonly"), ("int8", "int8", "smooth")],
)
def test_an_a100_answers_from_its_own_table(dtype, stored, mark):
    model = silicon(None, load_device("A100-80G", "x"), None, "x")
    times, kernels = ask(model, dtype, stored, m=[1, 64, 4096], n=8192, k=8192)
    assert all(mark in kernel and "trtllm 1.0.0" in kernel for kernel in kernels)
    assert (times.p10 < times.seconds).all()
    assert (times.seconds < times.p90).all()
    assert times.seconds[-1] / times.seconds[0] > 5.0


@pytest.mark.parametrize("name", ["H200", "H100", "L40S", "B200", "A6000", "T4"])
def test_other_gpus_answer_from_constants(name):
    device = load_device(name, "x")
    model = of_calibration(calibration_for(device, None, "x", datasheet=True), device, None)
    at = {"m": [1, 16, 2048], "n": 8192, "k": 8192}
    took = {}
    for dtype, stored in [("bf16", s) for s in ("bf16", "int8", "fp8", "int4", "fp4")] + [
        ("int8", "int8")
    ]:
        times, kernels = ask(model, dtype, stored, **at)
        assert all("several pooled" in kernel for kernel in kernels)
        took[dtype, stored] = times.seconds
    assert took["bf16", "int4"][0] < took["bf16", "int8"][0] < took["bf16", "bf16"][0]
    assert took["int8", "int8"][2] < took["bf16", "bf16"][2]


@pytest.mark.parametrize(
    ("name", "n", "k", "published_us"),
    [
        ("H200", 8192, 8192, 20.3),
        ("H200", 8192, 16384, 38.1),
        ("H200", 7168, 20480, 40.6),
        ("H200", 8192, 81920, 138.4),
        ("H100", 8192, 8192, 27.0),
    ],
)
def test_published_marlin_times_are_in_the_band(name, n, k, published_us):
    """One row of 4-bit weights: tile-ai/TileOPs PR 1874, inclusionAI/humming PR 2."""
    device = load_device(name, "x")
    model = of_calibration(calibration_for(device, None, "x", datasheet=True), device, None)
    times, _ = ask(model, "bf16", "int4", m=1, n=n, k=k)
    assert times.p10[0] < published_us * 1e-6 < times.p90[0]


def test_models_are_found_by_their_schedule():
    for schedule, model in MODEL.items():
        assert model_with("gemm", schedule) is model
