"""The roofline against its own formula, by hand, and its constants against reason."""

from dataclasses import replace

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device, load_link
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.constants import CLASSES, shipped_constants
from tierlab.hwmodels.time.roofline import Roofline, RooflineDevice, roofline_device
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import DTYPES, OPS, OpTable


def gpu(name: str) -> Gpu:
    device = load_device(name, "test")
    assert isinstance(device, Gpu)
    return device


def seconds(device: RooflineDevice, ops: OpTable) -> float:
    return float(Roofline(device).predict(ops).seconds[0])


H200 = roofline_device(gpu("h200"), load_link("nvlink4", "test"))
BIG = {"m": 8192, "n": 8192, "k": 8192}


def test_a_large_gemm_runs_at_its_share_of_the_peak() -> None:
    known = shipped_constants()["gemm.wide"]
    expected = 2 * 8192**3 / (989.4e12 * known.e_compute) + known.fixed_s
    assert seconds(H200, OpTable.build("gemm", "bf16", **BIG)) == pytest.approx(expected, rel=1e-12)


def test_a_long_decode_runs_at_its_share_of_the_bandwidth() -> None:
    known = shipped_constants()["decode_attention.wide"]
    ops = OpTable.build(
        "decode_attention",
        "bf16",
        "bf16",
        batch=1,
        q_len=1,
        kv_len=1_000_000,
        heads=32,
        kv_heads=8,
        head_dim=128,
    )
    moved = 1_000_000 * 8 * 128 * 2 * 2 + 2 * 32 * 128 * 2
    expected = moved / (4.8e12 * known.e_memory) + known.fixed_s
    assert seconds(H200, ops) == pytest.approx(expected, rel=1e-12)


def test_a_ring_all_reduce_sends_two_payloads_less_a_share() -> None:
    known = shipped_constants()["all_reduce"]
    ops = OpTable.build("all_reduce", "bf16", devices=8, bytes=1e9)
    expected = 2 * 7 / 8 * 1e9 / (450e9 * known.e_memory) + known.fixed_s
    assert seconds(H200, ops) == pytest.approx(expected, rel=1e-12)


def test_the_gradient_of_attention_runs_at_its_share_of_the_peak_without_a_link() -> None:
    known = shipped_constants()["prefill_attention_backward"]
    ops = OpTable.build(
        "prefill_attention_backward", "bf16", "bf16", batch=1, q_len=8192, kv_len=8192, heads=32,
        kv_heads=32, head_dim=128,
    )  # fmt: skip
    work = 10 * 32 * 128 * 8192 * 8193 / 2
    expected = work / (989.4e12 * known.e_compute) + known.fixed_s
    assert seconds(roofline_device(gpu("h200")), ops) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("op", "payloads"), [("all_gather", 3.0), ("reduce_scatter", 0.75), ("all_to_all", 0.75)]
)
def test_what_four_devices_send(op: str, payloads: float) -> None:
    known = shipped_constants()[op]
    expected = payloads * 1e9 / (450e9 * known.e_memory) + known.fixed_s
    ops = OpTable.build(op, "bf16", devices=4, bytes=1e9)
    assert seconds(H200, ops) == pytest.approx(expected, rel=1e-12)


def test_a_collective_needs_a_link() -> None:
    alone = Roofline(roofline_device(gpu("h200")))
    with pytest.raises(BadInput, match="no peer link"):
        alone.predict(OpTable.build("all_reduce", "bf16", devices=2, bytes=1.0))
    assert alone.predict(OpTable.build("gemm", "bf16", **BIG)).seconds[0] > 0


def test_arithmetic_that_a_device_lacks_falls_back() -> None:
    t4, a100 = (roofline_device(gpu(name)) for name in ("t4", "a100-80g"))
    as_fp16 = seconds(t4, OpTable.build("gemm", "fp16", **BIG))
    assert seconds(t4, OpTable.build("gemm", "bf16", **BIG)) == as_fp16
    widened = seconds(a100, OpTable.build("gemm", "bf16", "fp8", **BIG))
    assert seconds(a100, OpTable.build("gemm", "fp8", "fp8", **BIG)) == pytest.approx(
        widened, rel=0.01
    )
    assert seconds(H200, OpTable.build("gemm", "fp8", "fp8", **BIG)) < seconds(
        H200, OpTable.build("gemm", "bf16", "bf16", **BIG)
    )


def test_four_bit_weights_pay_where_memory_binds_and_not_where_arithmetic_does() -> None:
    few, many = {"m": 1, "n": 28672, "k": 8192}, BIG
    wide, narrow = (
        [seconds(H200, OpTable.build("gemm", "bf16", stored, **shape)) for shape in (few, many)]
        for stored in ("bf16", "int4")
    )
    assert narrow[0] < 0.5 * wide[0]
    assert narrow[1] > wide[1]


def test_a_device_without_a_usable_peak_is_refused() -> None:
    with pytest.raises(BadInput, match="states no peak"):
        Roofline(RooflineDevice("odd", 1e12, {"fp64": 1e12}))


def test_a_faster_device_is_never_slower() -> None:
    ops = OpTable.build("gemm", "bf16", m=[1, 64, 4096], n=8192, k=8192)
    faster = replace(
        H200, bytes_per_s=9.6e12, flop_per_s={k: 2 * v for k, v in H200.flop_per_s.items()}
    )
    assert (Roofline(faster).predict(ops).seconds < Roofline(H200).predict(ops).seconds).all()


def test_assumed_constants_and_larger_shapes_count_as_extrapolated() -> None:
    known = Roofline(H200)
    assert known.predict(OpTable.build("elementwise", "bf16", bytes=1e6)).extrapolated[0]
    gemms = OpTable.build("gemm", "bf16", m=[1024, 10_000_000], n=65536, k=65536)
    assert known.predict(gemms).extrapolated.tolist() == [False, True]


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_has_sane_constants_with_a_source(name: str) -> None:
    known = shipped_constants()[name]
    assert 0.05 < known.e_compute <= 1.0
    assert 0.05 < known.e_memory <= 1.0
    assert 1e-6 < known.fixed_s < 1e-4
    for low, high in zip(known.p10, known.p90, strict=True):
        assert 0.0 < low <= 1.0 <= high
        assert low < high
    assert "2026-" in known.source
    assert known.measured != known.source.startswith("assumption")


def test_every_dtype_of_every_operation_has_a_time_on_every_kind_of_gpu() -> None:
    for name in ("t4", "a100-80g", "h200", "b200", "rtx-4090"):
        model = Roofline(roofline_device(gpu(name), load_link("pcie4-x16", "test")))
        n = len(OPS) * len(DTYPES) ** 2
        code = np.arange(n)
        shape = OpTable.build(
            "gemm", "bf16", m=np.full(n, 64), n=64, k=64, batch=4, q_len=2, kv_len=64, heads=4,
            kv_heads=2, head_dim=64, experts=4, top_k=2, state_size=16, devices=2, bytes=1e6,
        )  # fmt: skip
        every = OpTable(
            (code // 64).astype(np.int8),
            (code // 8 % 8).astype(np.int8),
            (code % 8).astype(np.int8),
            shape.values,
        )
        times = model.predict(every)
        assert np.isfinite(times.seconds).all()
        assert (times.seconds > 1e-6).all()


def test_p10_never_promises_more_than_the_datasheet():
    """A million tokens of prefill, and a decode step over 115 GB of KV, on an H200."""
    from tierlab.hwmodels.catalogue import load_device
    from tierlab.kernels.ops.registry import flops, traffic_bytes

    gpu = load_device("H200", "test")
    ops = OpTable.concat(
        [
            OpTable.build(
                "prefill_attention",
                "bf16",
                "bf16",
                batch=1,
                q_len=8192,
                kv_len=1e6,
                heads=28,
                kv_heads=4,
                head_dim=128,
            ),
            OpTable.build(
                "decode_attention",
                "bf16",
                "bf16",
                batch=2,
                q_len=1,
                kv_len=1e6,
                heads=28,
                kv_heads=4,
                head_dim=128,
            ),
            OpTable.build("gemm", "bf16", "bf16", m=8192, n=37888, k=3584),
        ]
    )
    times = Roofline(roofline_device(gpu)).predict(ops)
    beyond_l2 = traffic_bytes(ops) - gpu.l2_bytes
    assert (times.p10 >= flops(ops) / gpu.peak("bf16") * (1 - 1e-12)).all()
    assert (times.p10 >= beyond_l2 / gpu.memory_bandwidth_bytes_per_s * (1 - 1e-12)).all()
    assert (times.p10 <= times.seconds).all()
