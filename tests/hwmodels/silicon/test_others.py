"""Kernel models beyond plain attention and GEMM: their formulas, fits, readers and selection."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tierlab.hwmodels.catalogue import load_device, load_system
from tierlab.hwmodels.time.silicon import batched
from tierlab.hwmodels.time.silicon.calibration import Calibration, dump, load
from tierlab.hwmodels.time.silicon.calibration_reader import Reader
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.holdout import split
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.make import of_calibration, silicon
from tierlab.hwmodels.time.silicon.measured import SEVERAL, KernelKey, Measured
from tierlab.hwmodels.time.silicon.others import TABLES, moe, nccl, read_others, selection
from tierlab.hwmodels.time.silicon.own_reduce import MODELS, one_stage, way
from tierlab.hwmodels.time.silicon.registry import KERNELS, is_variant
from tierlab.hwmodels.time.times import CALIBRATED, DATASHEET
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

LENGTHS = (1, 16, 200, 1024, 4096)
GRIDS = {
    "mla_decode": {
        "batch": (1, 8, 64, 256), "kv_len": (64, 512, 4096, 16384), "heads": (8, 16, 32, 64, 128),
    },
    "mla_prefill": {"batch": (1, 4), "q_len": LENGTHS, "heads": (4, 8, 16, 32, 64, 128)},
    "grouped_gemm": {
        "m": (1, 8, 64, 512, 4096), "n": (1024, 4096), "k": (2048, 7168), "experts": (8, 64, 256),
    },
    "batched_gemm": {
        "m": (1, 8, 64, 512, 4096), "n": (128, 512), "experts": (1, 4, 16, 32, 64, 128),
    },
    "mamba_prefill": {"batch": (1, 8), "q_len": LENGTHS, "heads": (4, 8, 16, 32, 64, 128)},
    "mamba_decode": {"batch": (1, 2, 4, 8, 16, 32, 64, 512, 999), "heads": (4, 8, 16, 32, 64, 128)},
    "sample": {"m": (1, 2, 8, 32, 128, 256, 512), "n": (32000, 128256, 256000), "k": (0, 8, 45)},
    "top_k": {"m": (1, 8, 64, 256, 1024, 8192), "n": tuple(2.0 ** np.arange(11, 20))},
    **{
        op: {"devices": (2, 4, 8), "bytes": tuple(2.0 ** np.arange(10, 31, 1.5))}
        for op in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
    },
}  # fmt: skip
FIXED = {
    "mla_decode": {"q_len": 1, "kv_heads": 1, "head_dim": 576, "v_head_dim": 512,
                   "latent_rank": 512},
    "mla_prefill": {"head_dim": 192, "v_head_dim": 128},
    "grouped_gemm": {"top_k": 4},
    "batched_gemm": {"k": 512},
    "top_k": {"k": 8, "kv_len": 1},
    "mamba_prefill": {"kv_heads": 4, "head_dim": 128, "state_size": 128, "n": 64},
    "mamba_decode": {"q_len": 1, "kv_heads": 4, "head_dim": 128, "state_size": 128},
}  # fmt: skip


def shapes(name: str) -> OpTable:
    axes = GRIDS[name]
    mesh = np.meshgrid(*axes.values(), indexing="ij")
    columns = {c: m.ravel().astype(float) for c, m in zip(axes, mesh, strict=True)}
    if "q_len" in axes:
        columns["kv_len"] = columns["q_len"]
    if name == "batched_gemm":
        columns["top_k"] = columns["experts"]
    if name == "mla_prefill":
        columns["kv_heads"] = columns["heads"]
    op = KERNELS[name].op
    return OpTable.build(op, "bf16", "bf16", **columns, **FIXED.get(name, {}))


def measured(name: str, machine, **changed: float) -> Measured:
    kernel, ops = KERNELS[name], shapes(name)
    values = {n: p.start for n, p in kernel.parameters.items()} | changed
    seconds = kernel.seconds(ops, machine, kernel.schedules[0], values)
    noise = np.random.default_rng(3).normal(0.0, 0.01, len(ops))
    key = KernelKey(name, "bf16", "bf16", "test", "1", "synthetic")
    return Measured(key, "aiconfigurator, synthetic", ops, seconds * np.exp(noise))


@pytest.mark.parametrize("name", GRIDS)
def test_known_parameters_are_found(name, machine):
    data = measured(name, machine, launch_us=KERNELS[name].parameters["launch_us"].start * 1.7)
    seen, unseen = split(data)
    predicted, _ = fit(seen, machine, Options(trees=False)).seconds(unseen.ops, machine)
    error = np.abs(predicted / unseen.seconds - 1.0)
    assert np.median(error) < 0.03
    assert np.quantile(error, 0.9) < 0.12


@pytest.mark.parametrize("name", GRIDS)
def test_more_work_never_takes_less(name, machine):
    kernel, ops = KERNELS[name], shapes(name)
    values = {n: p.start for n, p in kernel.parameters.items()}
    axis = "m" if "m" in GRIDS[name] else "bytes" if "bytes" in GRIDS[name] else "batch"
    columns = {c: ops[c].copy() for c in ("batch", "m", "bytes")}
    columns[axis] *= 16.0
    more = OpTable(ops.op, ops.dtype, ops.kv_dtype, ops.values.copy())
    more[axis][:] = columns[axis]
    before, after = (kernel.seconds(o, machine, kernel.schedules[0], values) for o in (ops, more))
    assert (after > 0.98 * before).all()


def test_one_head_costs_no_more_than_two_and_small_products_what_a_replay_does(machine):
    kernel = KERNELS["batched_gemm"]
    assert kernel.schedules[0] == batched.SCHEDULE
    values = {n: p.start for n, p in kernel.of(batched.SCHEDULE).items()}
    heads = np.array([1.0, 2.0, 4.0, 8.0])
    ops = OpTable.build(
        "grouped_gemm", "bf16", "bf16", m=16, n=512, k=128, experts=heads, top_k=heads
    )
    seconds = kernel.seconds(ops, machine, batched.SCHEDULE, values)
    np.testing.assert_allclose(seconds, values["floor_us"] * 1e-6, rtol=0.15)
    assert (np.diff(seconds) >= 0).all()


def test_products_of_heads_slow_down_where_they_overflow_l2(machine):
    """Public H200 table, 128 heads into 128: 9.49 us of 160 rows, 18.73 us of 256."""
    kernel = KERNELS["batched_gemm"]
    values = {n: p.start for n, p in kernel.of(batched.SCHEDULE).items()}
    ops = OpTable.build(
        "grouped_gemm", "bf16", "bf16", m=[160, 256], n=128, k=512, experts=128, top_k=128
    )
    assert batched.traffic(ops)[0] < machine.l2_bytes < batched.traffic(ops)[1]
    few, many = kernel.seconds(ops, machine, batched.SCHEDULE, values)
    roomy = replace(machine, l2_bytes=4.0 * machine.l2_bytes)
    kept = kernel.seconds(ops, roomy, batched.SCHEDULE, values)
    assert many / few > 1.15 * kept[1] / kept[0]


def test_mla_prefill_slows_down_where_its_heads_and_latents_overflow_l2():
    """Public L40S table: 65,536 rows take 172 us as 4 heads of 16,384 tokens, 70 as 128 of 512.

    The tokens' rows of the cache take room, too.
    """
    l40s, kernel = machine_of(load_system("L40S").gpu), KERNELS["mla_prefill"]
    heads = np.array([4.0, 4.0, 128.0, 128.0])
    ops = OpTable.build(
        "prefill_attention", "bf16", "bf16", batch=[64, 64, 2, 2], q_len=[128, 256, 128, 256],
        kv_len=[128, 256, 128, 256], heads=heads, kv_heads=heads, head_dim=192, v_head_dim=128,
    )  # fmt: skip
    values = {n: p.start for n, p in kernel.of("kept").items()} | {"l2_sharp": 16.0}
    few, fewer_fit, many, more = kernel.seconds(ops, l40s, "kept", values)
    assert fewer_fit / few > 1.3 * more / many
    roomy = replace(l40s, l2_bytes=8.0 * l40s.l2_bytes)
    assert kernel.seconds(ops, roomy, "kept", values)[1] < 0.6 * fewer_fit
    assert (
        (kernel.seconds(ops, roomy, "heads", values)[1])
        == kernel.seconds(ops, l40s, "heads", values)[1]
    )


@pytest.fixture(scope="module")
def model(machine_module):
    gpu = load_system("h200-8x")
    kernels = tuple(
        fit(measured(n, machine_module), machine_module, Options(trees=False))
        for n in ("mla_decode", "mla_prefill", "all_reduce", "mamba_decode", "sample", "top_k")
    )
    return of_calibration(Calibration("H200", "test", kernels), gpu.gpu, gpu.peer_link)


@pytest.fixture(scope="module")
def machine_module():
    return machine_of(load_system("H200").gpu)


def answer(model, op: str, dtype: str = "bf16", stored: str = "none", **columns: float) -> str:
    ops = OpTable.build(op, dtype, stored, **columns)
    times, member = model.explain(ops)
    assert np.isfinite(times.seconds).all()
    key = model._members[member[0]].fitted.key if member[0] >= 0 else None
    own = key is not None and key.version != SEVERAL
    assert times.source[0] == (CALIBRATED if own else DATASHEET)
    return "roofline" if key is None else key.op if own else f"{key.op} of other GPUs"


def test_rows_find_the_kernel_that_they_run_on(model):
    mla = {"batch": 4, "q_len": 1, "kv_len": 512, "heads": 16, "kv_heads": 1, "head_dim": 576}
    latent = {"v_head_dim": 512, "latent_rank": 512}
    assert answer(model, "decode_attention", **mla, **latent) == "mla_decode"
    assert answer(model, "decode_attention", **mla) == "decode_attention of other GPUs"
    chunk = {"batch": 1, "q_len": 64, "kv_len": 64, "heads": 16, "kv_heads": 16, "head_dim": 192}
    assert answer(model, "prefill_attention", **chunk, v_head_dim=128) == "mla_prefill"
    plain = answer(model, "prefill_attention", **chunk, v_head_dim=192)
    assert plain == "prefill_attention of other GPUs"
    assert answer(model, "all_reduce", devices=8, bytes=1e6) == "all_reduce"
    assert answer(model, "all_gather", devices=8, bytes=1e6) == "roofline"
    assert answer(model, "sample", "fp32", m=64, n=128256) == "sample"
    assert answer(model, "sample", "fp32", m=64, n=8192, k=8, kv_len=8192) == "top_k"


def test_what_was_not_measured_here_is_taken_from_other_gpus_where_it_can_run():
    a100 = silicon(None, load_device("A100-80G", "test"), None, "test")
    product, shape = {"m": 64, "n": 4096, "k": 4096}, {"batch": 8, "kv_len": 4096, "heads": 32}
    shape |= {"q_len": 1, "kv_heads": 8, "head_dim": 128}
    assert answer(a100, "gemm", stored="bf16", **product) == "gemm"
    assert answer(a100, "elementwise", m=64, n=4096, bytes=1e6) == "elementwise of other GPUs"
    eight = answer(a100, "decode_attention", stored="fp8", **shape)
    assert eight == "decode_attention of other GPUs"
    assert answer(a100, "gemm", dtype="fp8", stored="fp8", **product) == "roofline"


@pytest.mark.parametrize("stored", ["fp32", "bf16", "none"])
def test_a_state_s_dtype_does_not_choose_another_kernel(stored, model):
    shape = {"batch": 4, "q_len": 1, "heads": 16, "kv_heads": 4, "head_dim": 64, "state_size": 128}
    assert answer(model, "mamba_decode", stored=stored, **shape) == "mamba_decode"


def test_variants_survive_a_file(model, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(dump(model._calibration))
    again = load(path, "test", "H200")
    assert [k.key.op for k in again.kernels] == [k.key.op for k in model._calibration.kernels]


def test_a_layer_of_experts_is_shared_out_between_its_products():
    row = {
        "moe_dtype": "bfloat16", "moe_ep_size": 1, "moe_tp_size": 2, "distribution": "balanced",
        "kernel_source": "x", "hidden_size": 2048, "inter_size": 1024, "num_tokens": 16,
        "topk": 8, "num_experts": 64, "latency": 0.3,
    }  # fmt: skip
    skewed = row | {"distribution": "power_law_1.2", "latency": 0.6}
    others = row | {"moe_ep_size": 2}, row | {"distribution": "zipf"}
    (part,) = moe(pl.DataFrame([row, skewed, *others]))
    assert part.ops["n"].tolist() == [1024, 1024, 2048, 2048]
    assert part.ops["k"].tolist() == [2048, 2048, 512, 512]
    assert part.ops["routing"].tolist() == [0.0, 1.2, 0.0, 1.2]
    key = KernelKey("grouped_gemm", "bf16", "bf16", "x", "1", part.kernel)
    assert not Measured(key, "x", part.ops, part.seconds).groups().any()
    np.testing.assert_allclose(part.seconds, [0.2e-3, 0.4e-3, 0.1e-3, 0.2e-3])
    (squared,) = moe(pl.DataFrame([row | {"num_experts": 128, "topk": 6}]))
    assert squared.ops["n"].tolist() == [512, 2048]
    np.testing.assert_allclose(squared.seconds, [0.15e-3, 0.15e-3])
    gated = {"num_experts": 128, "topk": 6, "kernel_source": "vllm_fused_moe"}
    assert not list(moe(pl.DataFrame([row | gated])))


def test_messages_become_what_one_device_brings():
    rows = pl.DataFrame(
        {"nccl_dtype": ["half"] * 2, "op_name": ["all_gather", "all_reduce"],
         "num_gpus": [8, 8], "message_size": [4096, 4096], "latency": [0.01, 0.02]}
    )  # fmt: skip
    gather, reduce = nccl(rows)
    assert gather.ops["bytes"].tolist() == [1024]
    assert reduce.ops["bytes"].tolist() == [8192]
    (again,) = nccl(rows.with_columns(nccl_dtype=pl.lit("int8")))
    assert (again.name, again.ops["bytes"].tolist()) == ("all_gather", [512])


def test_selection_is_read_where_the_rows_of_a_chunk_are_alike_long():
    row = {
        "score_mode": "flat", "compress_ratio": 1, "kernel_source": "x", "batch_size": 2,
        "isl": 128, "step": 1024, "latency": 0.02,
    }  # fmt: skip
    others = {"score_mode": "top_last"}, {"compress_ratio": 4}, {"isl": 129}
    (part,) = selection(pl.DataFrame([row, *(row | changed for changed in others)]))
    assert (part.name, part.dtype, part.kv_dtype) == ("top_k", "fp32", "none")
    assert (part.ops["m"].tolist(), part.ops["n"].tolist()) == ([256.0], [1152.0])
    assert is_variant(part.ops).all()
    np.testing.assert_allclose(part.seconds, [20e-6])


def test_tables_are_found_by_kind_framework_and_version(tmp_path):
    for version, latency in (("0.9.0", 1.0), ("0.24.0", 0.004)):
        folder = tmp_path / "h200_sxm" / "quantize" / "vllm" / version
        folder.mkdir(parents=True)
        pl.DataFrame(
            {"m": [1, 2], "k": [64, 64], "latency": [latency] * 2, "kernel_source": ["Q"] * 2}
        ).write_parquet(folder / "scale_matrix_perf.parquet")
    (found,) = read_others("h200_sxm", "vllm", None, tmp_path)
    assert (found.key.version, found.key.kernel, found.key.op) == ("0.24.0", "q", "elementwise")
    assert found.ops["bytes"].tolist() == [192, 384]
    (older,) = read_others("h200_sxm", "vllm", "0.9.0", tmp_path)
    assert older.seconds.tolist() == [1e-3, 1e-3]
    assert read_others("h200_sxm", "sglang", None, tmp_path) == []
    assert len({t.file for t in TABLES}) == len(TABLES)


def test_a_parameter_that_came_later_is_what_it_was_without():
    """Collectives fitted before `wider` and `soft`: the harder of two protocols, alike for all."""
    kernel = KERNELS["all_reduce"]
    given = {name: p.start for name, p in kernel.parameters.items() if p.absent is None}
    table = {"parameters": given}
    found = Reader("c.json")._parameters(table, kernel, "kernel 1")
    later = {name: p.absent for name, p in kernel.parameters.items() if p.absent is not None}
    assert found == given | later
    assert (later["wider"], later["soft"]) == (1.0, 1e3)
    with pytest.raises(BadInput, match="'ring_gbs' is missing"):
        Reader("c.json")._parameters(
            {"parameters": {k: v for k, v in given.items() if k != "ring_gbs"}}, kernel, "kernel 1"
        )


@pytest.mark.parametrize(
    ("devices", "kib", "one"),
    [(2, 9999, True), (4, 511, True), (4, 512, False), (8, 255, True), (8, 256, False)],
)
def test_vllms_all_reduce_takes_one_stage_for_small_messages(devices, kib, one):
    ops = OpTable.build("all_reduce", "bf16", devices=devices, bytes=kib * 1024.0)
    assert one_stage(ops)[0] == one


@pytest.mark.parametrize(
    ("hardware", "devices", "kib", "taken"),
    [("H200", 2, 8191, 0), ("H200", 2, 8192, 2), ("H200", 2, 65536, 3), ("H200", 4, 600, 1),
     ("H200", 8, 255, 0), ("H200", 8, 256, 2), ("H200", 8, 65536, 3), ("B200", 8, 512, 1),
     ("B200", 8, 1024, 2), ("B200", 4, 32768, 3), ("A100-80G", 8, 8191, 1), ("L40S", 8, 8192, 3),
     ("A100-80G", 2, 8191, 0), ("A100-80G", 2, 8192, 3)],
)  # fmt: skip
def test_vllms_all_reduce_takes_other_ways_as_messages_grow(hardware, devices, kib, taken):
    """One stage, two, symmetric memory, NCCL."""
    ops = OpTable.build("all_reduce", "bf16", devices=devices, bytes=kib * 1024.0)
    assert way(ops, machine_of(load_system(hardware).gpu))[0] == taken


def test_each_way_has_a_latency_of_its_own(machine):
    """On Hopper 8 MiB between four devices leave the two stages for symmetric memory."""
    ops = OpTable.build("all_reduce", "bf16", devices=4.0, bytes=[8191.0 * 1024, 8192.0 * 1024])
    p = {name: parameter.start for name, parameter in MODELS[0].parameters.items()}
    p |= {"launch_us": 1.0, "two_us": 1.0, "two_chain": 0.01, "two_rate": 1.0, "simple_gbs": 1e3}
    p |= {"symmetric_us": 50.0, "symmetric_gbs": 1e3}
    two, symmetric = MODELS[0].seconds(ops, machine, "own", p)
    assert two == pytest.approx((1.0 + 3.0**0.01 + 1.5 * 8191.0 * 1.024e-3) * 1e-6, rel=1e-3)
    assert symmetric == pytest.approx((51.0 + 8.388608) * 1e-6, rel=1e-3)


def test_a_protocol_that_is_switched_may_be_slower_from_there_on(machine):
    """Small: 1 + 2 x 3 us; rings: 1 + 50 + 3 us and no bytes to speak of."""
    kernel = KERNELS["all_gather"]
    p = {name: parameter.start for name, parameter in kernel.parameters.items()}
    p |= {"launch_us": 1.0, "hop_us": 2.0, "chain": 1.0, "small_gbs": 2000.0, "bend": 6.0}
    p |= {"ring_us": 50.0, "step_us": 1.0, "ring_gbs": 2000.0, "ramp_kb": 1.0}
    p |= {"switch_kb": 128.0, "switch_wider": 2.0, "soft": 20.0}
    ops = OpTable.build("all_gather", "bf16", devices=4, bytes=[1024.0, 128e3, 512e3])
    found = kernel.seconds(ops, machine, "switched", p)
    np.testing.assert_allclose(found, [7e-6, 7e-6, 54.77e-6], rtol=1e-3)


def test_twice_the_devices_may_halve_the_rate(machine):
    """As on PCIe, where the public L40S tables show 19, 3.7 and 1.9 GB/s on 2, 4 and 8."""
    kernel = KERNELS["all_reduce"]
    p = {name: parameter.start for name, parameter in kernel.parameters.items()}
    ops = OpTable.build("all_reduce", "bf16", devices=[2, 4, 8], bytes=1e9)
    alike = kernel.seconds(ops, machine, "both", p)
    halved = kernel.seconds(ops, machine, "both", p | {"wider": 0.5})
    np.testing.assert_allclose(halved / alike, [1.0, 2.0, 4.0], rtol=0.01)


def test_on_blackwell_32_heads_are_two_tiles_and_128_load_the_cache_once():
    """MLA over a cache far larger than L2, where one tile's arithmetic is hidden."""
    kernel = KERNELS["mla_decode"]
    p = {name: parameter.start for name, parameter in kernel.parameters.items()}
    p |= {"l2_speed": 0.5, "peak": 1.2, "ends": 0.05, "hbm_eff": 1.0}
    ops = OpTable.build(
        "decode_attention", "bf16", "bf16", batch=64, q_len=1, kv_len=65536, kv_heads=1,
        heads=[16.0, 32.0, 64.0, 128.0], head_dim=576, v_head_dim=512, latent_rank=512,
    )  # fmt: skip
    on = {name: machine_of(load_system(name).gpu) for name in ("B200", "H200")}
    few, two, many, most = kernel.seconds(ops, on["B200"], "dealt", p)
    assert two > 1.5 * few
    assert most < 1.2 * many < 1.3 * few
    few, two, _, most = kernel.seconds(ops, on["H200"], "dealt", p)
    assert two < 1.2 * few
    assert most > 1.5 * few


def test_a_cta_alone_goes_through_all_keys_of_its_sequence(machine):
    """Twice the keys of one sequence take twice as long; eight sequences no longer than one."""
    kernel = KERNELS["mla_decode"]
    p = {name: parameter.start for name, parameter in kernel.parameters.items()}
    p |= {"l2_share": 0.1}
    ops = OpTable.build(
        "decode_attention", "bf16", "bf16", batch=[1.0, 1.0, 8.0], q_len=1, heads=16, kv_heads=1,
        kv_len=[65536.0, 131072.0, 65536.0], head_dim=576, v_head_dim=512, latent_rank=512,
    )  # fmt: skip
    once, twice, eight = kernel.seconds(ops, machine, "alone", p)
    assert twice == pytest.approx(2.0 * once, rel=0.02)
    assert eight == pytest.approx(once, rel=0.05)
    assert kernel.seconds(ops, machine, "dealt", p)[0] < 0.2 * once
