"""Layers of experts in 4 bits: which rows are read, TensorRT-LLM's untuned tiles, what answers."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.fit import may_run
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.moe import GROUPED_GEMM
from tierlab.hwmodels.time.silicon.moe_layer import layer_of
from tierlab.hwmodels.time.silicon.moe_tiles import UNTUNED, tiles
from tierlab.hwmodels.time.silicon.others import moe
from tierlab.kernels.ops.table import OpTable

START = {name: p.start for name, p in GROUPED_GEMM.parameters.items()}
LEAST, NVFP4, MXFP8 = UNTUNED
ROW = {
    "moe_dtype": "nvfp4", "moe_ep_size": 1, "moe_tp_size": 1, "distribution": "balanced",
    "kernel_source": "x", "hidden_size": 4096, "inter_size": 1536, "num_tokens": 64, "topk": 8,
    "num_experts": 128, "latency": 0.12,
}  # fmt: skip


def products(tokens, outer=4096, inner=1536, experts=128, top_k=8, gates=1) -> OpTable:
    """Both products of a layer in NVFP4, the one inward first."""
    shape = {"m": tokens, "experts": experts, "top_k": top_k}
    into = OpTable.build("grouped_gemm", "fp4", "fp4", n=(1 + gates) * inner, k=outer, **shape)
    out = OpTable.build("grouped_gemm", "fp4", "fp4", n=outer, k=inner, **shape)
    return OpTable.concat([into, out])


def seconds(ops: OpTable, machine, schedule=NVFP4, **changed: float) -> np.ndarray:
    return GROUPED_GEMM.seconds(ops, machine, schedule, START | changed)


@pytest.fixture(scope="module")
def b200():
    return load_device("B200", "test")


@pytest.mark.parametrize(
    ("spelled", "dtypes"),
    [("nvfp4", ("fp4", "fp4")), ("w4a8_mxfp4_mxfp8", ("fp8", "fp4")),
     ("w4a16_mxfp4", ("bf16", "fp4")), ("int4_wo", ("bf16", "int4")), ("fp8", ("fp8", "fp8"))],
)  # fmt: skip
def test_a_table_says_what_is_multiplied_and_what_is_stored(spelled, dtypes):
    (part,) = moe(pl.DataFrame([ROW | {"moe_dtype": spelled}]))
    assert (part.dtype, part.kv_dtype) == dtypes
    np.testing.assert_allclose(part.seconds, [0.08e-3, 0.04e-3])


def test_types_without_a_counterpart_are_passed_over():
    assert not list(moe(pl.DataFrame([ROW | {"moe_dtype": "int8_sq"}])))


def timed(latencies: list[float], **changed: str) -> pl.DataFrame:
    return pl.DataFrame(
        [ROW | {"num_tokens": 2**i, "latency": t} | changed for i, t in enumerate(latencies)]
    )


def test_a_call_that_was_interrupted_is_not_read():
    """Public B200 table, CUTLASS: 4 tokens 1,647 us, between 69 and 142. Ends have no two sides."""
    table = timed([0.056, 0.069, 1.647, 0.142])
    rows = pl.concat([table[::-1], timed([0.5, 0.069], distribution="power_law_1.2")])
    (part,) = moe(rows)
    tokens = part.ops["m"][: len(part.ops) // 2].tolist()
    assert tokens == [8.0, 2.0, 1.0, 1.0, 2.0]
    (older,) = moe(table.with_columns(moe_dtype=pl.lit("fp8")))
    assert len(older.ops) == 2 * 4


def test_sglangs_deepseek_v3_reads_all_its_experts():
    row = ROW | {"hidden_size": 7168, "inter_size": 2048, "num_experts": 256}
    kernels = ["vllm_x_trtllm", "sglang_marlin_moe", "moe_torch_flow"]
    parts = moe(pl.DataFrame([row | {"kernel_source": k} for k in kernels]))
    assert [p.kernel for p in parts] == ["sglang_marlin_moe"]


@pytest.mark.parametrize("schedule", UNTUNED)
@pytest.mark.parametrize(
    ("tokens", "height"), [(1, 8), (256, 8), (257, 16), (512, 16), (2048, 64), (2049, 128)]
)
def test_untuned_kernels_take_half_the_next_power_of_2(schedule, tokens, height, machine):
    """256 tokens of 8 on 128 experts are 16 rows each: offered are 8, 16, 32 and 64."""
    found = tiles(products(tokens), machine, schedule, np.ones(2), np.full(2, 1536.0))
    assert (found.height.tolist(), found.width.tolist()) == ([height] * 2, [128.0] * 2)


@pytest.mark.parametrize(
    ("kernel", "tried"),
    [("vllm_compressedtensorsw4a4nvfp4moe_flashinfer_trtllm_trtllmnvfp4", {"trtllm", LEAST, NVFP4}),
     ("vllm_mxfp4moe_flashinfer_trtllm_mxfp4_mxfp8_trtllm", {"trtllm", LEAST, MXFP8}),
     ("vllm_gptossmxfp4moe_flashinfer_trtllm_mxfp4_bf16_trtllm", {"trtllm", LEAST}),
     ("vllm_compressedtensorsw4a4nvfp4moe_flashinfer_cutlass", {"aligned", "layer"})],
)  # fmt: skip
def test_names_tell_the_schedules_that_quantise(kernel, tried, machine):
    key = KernelKey("grouped_gemm", "fp4", "fp4", "x", "1", kernel)
    part = Measured(key, "", products(16), np.ones(2))
    assert {s for s in GROUPED_GEMM.schedules if may_run(GROUPED_GEMM, s, [(part, machine)])} == (
        tried
    )


@pytest.mark.parametrize(
    ("schedule", "gates", "inner", "wide"),
    [(NVFP4, 1, 200, 208), (NVFP4, 1, 1536, 1536), (NVFP4, 0, 464, 512), (MXFP8, 1, 384, 512)],
)
def test_widths_are_padded_to_what_a_kernel_takes(schedule, gates, inner, wide):
    """Gated inner widths by 16, others by 128, of MXFP4 by 256; the model's by 256."""
    ops = products(4, 2688 if not gates else 4096, inner, 128, 8 if gates else 6, gates)
    of = layer_of(ops, schedule)
    assert of.inner.tolist() == [wide] * 2
    assert of.outer.tolist() == [4096 if gates else 2816] * 2


@pytest.mark.parametrize("schedule", UNTUNED)
def test_shares_add_up_and_more_tokens_take_longer(schedule, machine):
    times = seconds(products([1, 64, 4096, 16384]), machine, schedule)
    np.testing.assert_allclose(times[:4], 2.0 * times[4:])
    assert (np.diff(times[:4]) > 0).all()


def test_a_matrix_that_l2_does_not_hold_is_read_for_each_tile(machine):
    """Public B200 table, 8 experts: of 16,384, 16 rows each take 1.6 times 8 rows', of 2,048 1.2.

    One tile of 8 rows an expert, then two.
    """
    ratio, slow = [], {"l2_speed": 12.0, "peak": 1.1}
    for inner in (512, 16384):
        one, two = seconds(products([32, 64], 6144, inner, 8, 2), machine, **slow)[:2]
        ratio.append(two / one)
    assert ratio[1] > 1.4 * ratio[0]
    roomy = replace(machine, l2_bytes=64.0 * machine.l2_bytes)
    one, two = seconds(products([32, 64], 6144, 16384, 8, 2), roomy, **slow, l2_share=0.2)[:2]
    assert two / one < 0.8 * ratio[1]


def test_tokens_are_quantised_once_whatever_they_visit(machine):
    """Twice the traffic of tokens costs the same for one expert a token as for eight."""
    more = [
        seconds(ops, machine, tokens=2.0)[0] - seconds(ops, machine, tokens=1.0)[0]
        for ops in (products(8192, top_k=1), products(8192, top_k=8))
    ]
    moved = 8192 * 4096 * 4.5
    np.testing.assert_allclose(more, 2 / 3 * moved / machine.bytes_per_s)


def test_padded_rows_are_copied(machine):
    even, odd = (products(8192, outer, 512, 128, 6, 0) for outer in (2560, 2688))
    gain = [
        seconds(ops, machine, copied=4.0)[0] - seconds(ops, machine, copied=1.0)[0]
        for ops in (even, odd)
    ]
    assert gain[0] == 0.0
    np.testing.assert_allclose(gain[1], 0.5 * 3.0 * 8192 * 2816 * 4.5 / machine.bytes_per_s)


def kernel_behind(device: str, dtype: str, stored: str) -> str:
    """Return the kernel that answers for a layer of Qwen3-30B-A3B's width."""
    model = silicon(None, load_device(device, "test"), None, "test")
    shape = {"m": 64, "n": 1536, "k": 2048, "experts": 128, "top_k": 8}
    times, member = model.explain(OpTable.build("grouped_gemm", dtype, stored, **shape))
    assert times.p10[0] < times.seconds[0] < times.p90[0]
    return "roofline" if member[0] < 0 else model.kernels()[member[0]]


@pytest.mark.parametrize(
    ("device", "dtype", "stored", "kernel"),
    [("B200", "fp4", "fp4", "trtllmnvfp4expertsmonolithic"),
     ("B200", "fp4", "none", "trtllmnvfp4expertsmonolithic"),
     ("B200", "fp8", "fp4", "mxfp4_mxfp8"), ("A100-80G", "bf16", "int4", "sglang_marlin_moe"),
     ("H100", "fp4", "fp4", "roofline")],
)  # fmt: skip
def test_the_shipped_default_is_what_vllm_picks(device, dtype, stored, kernel):
    """vLLM 0.24 prefers TensorRT-LLM's kernels for NVFP4, and of these the monolithic ones."""
    assert kernel in kernel_behind(device, dtype, stored)


def test_nvfp4_is_faster_than_fp8_where_weights_are_read(b200):
    model = silicon(None, b200, None, "test")
    shape = {"m": 64, "n": 4096, "k": 4096, "experts": 128, "top_k": 8}
    four, eight = (
        model.predict(OpTable.build("grouped_gemm", d, d, **shape)).seconds[0]
        for d in ("fp4", "fp8")
    )
    assert 0.4 * eight < four < 0.75 * eight
