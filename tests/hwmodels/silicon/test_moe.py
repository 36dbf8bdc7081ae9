"""Layers of routed experts: which layer a product is of, its tiles and padding, what is read."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import moe_tiles
from tierlab.hwmodels.time.silicon.fit import may_run
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.moe import GROUPED_GEMM
from tierlab.hwmodels.time.silicon.moe_layer import (
    UNGATED,
    WIDTHS,
    inward,
    layer,
    layer_of,
    padded,
    uneven,
)
from tierlab.hwmodels.time.silicon.moe_tiles import Tuned, tiles
from tierlab.hwmodels.time.silicon.others import moe
from tierlab.hwmodels.time.silicon.places import Places
from tierlab.kernels.ops.moe import experts_touched
from tierlab.kernels.ops.table import OpTable

START = {name: p.start for name, p in GROUPED_GEMM.parameters.items()}


def products(tokens, outer=4096, inner=1536, experts=128, top_k=8) -> OpTable:
    """Both products of a gated layer, the one inward first."""
    shape = {"m": tokens, "experts": experts, "top_k": top_k}
    into = OpTable.build("grouped_gemm", "bf16", "bf16", n=2 * inner, k=outer, **shape)
    return OpTable.concat([into, OpTable.build("grouped_gemm", "bf16", n=outer, k=inner, **shape)])


def test_even_routing_reads_an_expert_a_row_until_all_are_read():
    assert experts_touched(products([1, 3, 16, 400])).tolist() == [8, 24, 128, 128] * 2


GATED = [(e, k, w) for (e, k), ws in WIDTHS.items() for w in ws if (e, k) not in UNGATED]


@pytest.mark.parametrize(("experts", "top_k", "outer"), GATED)
def test_products_of_one_layer_are_told_apart(experts, top_k, outer):
    of = layer(products([5, 7], outer, 640, experts, top_k))
    assert of.outer.tolist() == [outer] * 4
    assert of.inner.tolist() == [640] * 4
    np.testing.assert_allclose(of.share, [2 / 3, 2 / 3, 1 / 3, 1 / 3])


def test_a_layer_of_a_model_that_is_not_known_is_told_by_its_sizes():
    assert inward(products(4, 4096, 1024, experts=77, top_k=3)).tolist() == [True, False]


def test_experts_without_a_gate_have_products_of_one_size():
    shape = {"m": 9.0, "experts": 128, "top_k": 6}
    ops = OpTable.build("grouped_gemm", "bf16", n=[1856, 2688], k=[2688, 1856], **shape)
    of = layer(ops)
    assert (of.outer.tolist(), of.inner.tolist()) == ([2688] * 2, [1856] * 2)
    assert of.share.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "schedule",
    ["layer", "aligned", "triton", "blocked", "marlin", "marlin_whole", "trtllm"],
)
def test_the_shares_of_a_layer_add_up_and_are_two_to_one(schedule, machine):
    times = GROUPED_GEMM.seconds(products([1, 64, 4096]), machine, schedule, START)
    np.testing.assert_allclose(times[:3], 2.0 * times[3:])


@pytest.mark.parametrize(
    ("schedule", "tokens", "height", "width"),
    [("triton", 32, 16, 64), ("triton", 64, 32, 64), ("triton", 96, 32, 128),
     ("triton", 97, 64, 128), ("triton", 513, 128, 128),
     ("blocked", 64, 16, 128), ("blocked", 65, 64, 128),
     ("marlin", 115, 8, 128), ("marlin", 116, 16, 128), ("marlin", 16384, 64, 128),
     ("triton14", 128, 16, 32), ("triton14", 129, 64, 64),
     ("swizzled", 271, 16, 256), ("swizzled", 272, 32, 256), ("swizzled", 16384, 128, 256)],
)  # fmt: skip
def test_tiles_are_vllms_defaults_where_none_were_tuned(schedule, tokens, height, width, machine):
    """115 tokens of 8 on 128 experts are 7.19 rows each: under nine tenths of 8.

    vLLM 0.14 told by tokens and experts, OpenAI's kernel tells by whole rows: 272 are 17 each.
    """
    ops = products(tokens, inner=1000)
    found = tiles(ops, machine, schedule, np.ones(2), np.full(2, 1000.0))
    assert (found.height.tolist(), found.width.tolist()) == ([height] * 2, [width] * 2)


@pytest.mark.parametrize(
    ("tokens", "height", "width"),
    [(1, 16, 128), (2, 16, 64), (12, 16, 64), (13, 16, 128), (20, 16, 128), (21, 16, 64),
     (384, 32, 128), (385, 64, 128), (9999, 128, 256)],
)  # fmt: skip
def test_tuned_tiles_are_those_of_the_nearest_tokens(tokens, height, width, machine):
    """E=128,N=384,device_name=NVIDIA_H200.json: of 16 and 24, as near to 20, the first."""
    found = tiles(products(tokens, inner=384), machine, "triton", np.ones(2), np.full(2, 384.0))
    assert (found.height[0], found.width[0]) == (height, width)


def test_the_table_of_tuned_tiles_can_be_read_and_says_where_it_is_from():
    data = json.loads(Path(moe_tiles.__file__).with_suffix(".json").read_text(encoding="utf-8"))
    assert data["source"]["licence"] == "Apache-2.0"
    assert {"H200", "H100", "L40S", "A100-80G"} == set(data["tiles"])
    for kinds in data["tiles"].values():
        for kind, entries in kinds.items():
            assert kind in moe_tiles.TUNED.values()
            experts, widths = (
                np.array(x, float) for x in zip(*map(str.split, entries), strict=True)
            )
            assert sorted(Tuned(entries).entry(experts, widths)) == list(range(len(entries)))


def test_padding_is_what_a_hand_counts(machine):
    """300 tokens of 8 on 128 experts: 18.75 rows each, one tile of 64; 128 x 24 tiles inward."""
    ops = products(300)
    found = GROUPED_GEMM.asked(ops, machine, "triton", START, np.full(2, 1e-3))
    np.testing.assert_allclose(found["rows_up"], 64 / 18.75)
    np.testing.assert_allclose(found["waves"], np.log2(128 * 24 / machine.sms))
    np.testing.assert_allclose(
        found["up"], np.ceil(128 * 24 / machine.sms) / (128 * 24 / machine.sms)
    )


def routed(routing: float, tokens: float) -> OpTable:
    ops = products(tokens)
    ops["routing"][:] = routing
    return ops


@pytest.mark.parametrize("schedule", GROUPED_GEMM.schedules)
def test_experts_that_no_token_visits_are_not_read(schedule, machine):
    """16 tokens of 8 read 128 of 128 experts, 82.4 if drawn uniformly, about 65 by a power law."""
    even, uniform, skewed = (
        GROUPED_GEMM.seconds(routed(r, 16), machine, schedule, START)[0] for r in (0, 1, 1.01)
    )
    assert skewed < uniform < even
    assert uniform / even == pytest.approx(82.4 / 128, abs=0.12)


def test_rows_that_are_dealt_unevenly_fill_more_tiles(machine):
    """256 tokens of 8 are 16 rows an expert: one tile each where even, half have one more."""
    even, uniform = (
        GROUPED_GEMM.asked(routed(r, 256), machine, "trtllm", START, np.full(2, 1e-3))["rows_up"][0]
        for r in (0, 1)
    )
    assert even == pytest.approx(1.0)
    assert uniform == pytest.approx(1.44, abs=0.03)


@pytest.mark.parametrize(
    ("kernel", "tried"),
    [("x_triton_tritonexperts", {"triton", "blocked"}), ("vllm_fused_moe", {"triton14"}),
     ("a_cutlass_b", {"aligned", "layer"}), ("marlinexperts", {"marlin", "marlin_whole"}),
     ("oaitriton", {"swizzled"}), ("trtllm", {"trtllm", "trtllm_least"}),
     ("my own", {"triton", "layer", "packed"})],
)  # fmt: skip
def test_a_kernel_is_fitted_with_the_schedules_of_its_family(kernel, tried, machine):
    ops = products(16)
    part = Measured(KernelKey("grouped_gemm", "bf16", "", "x", "1", kernel), "", ops, np.ones(2))
    names = {s for s in GROUPED_GEMM.schedules if may_run(GROUPED_GEMM, s, [(part, machine)])}
    known = kernel not in ("my own", "vllm_fused_moe")
    assert names == tried if known else tried <= names


def test_bf16_rows_of_176_bytes_are_even_to_cutlass_and_not_to_triton(machine):
    ops = products(16, 2816, 88, experts=128, top_k=8)
    said = {
        schedule: uneven(layer_of(ops, schedule), ops, schedule)
        for schedule in ("aligned", "triton")
    }
    assert not said["aligned"].any()
    assert said["triton"].all()


def test_openai_s_kernel_reads_whole_tiles(machine):
    shape = {"m": 16, "experts": 128, "top_k": 4, "n": 360, "k": 2880}
    ops = OpTable.build("grouped_gemm", "bf16", "fp4", **shape)
    assert (layer_of(ops, "swizzled").inner == 256.0).all()


def test_weights_that_fit_l2_are_read_faster(machine):
    small, large = (products(8, 4096, w, experts=8, top_k=2) for w in (128, 14336))
    slow = START | {"l2_share": 0.05}
    gain = [
        GROUPED_GEMM.seconds(o, machine, "layer", slow)
        / GROUPED_GEMM.seconds(o, machine, "layer", START | {"l2_share": 2.0})
        for o in (small, large)
    ]
    assert (gain[0] > 1.1).all()
    np.testing.assert_allclose(gain[1], 1.0, atol=0.02)


def test_both_products_of_a_layer_are_left_out_together():
    ops = products([1, 2], 4096, 1536)
    ops = OpTable.concat([ops, products([1, 2], 4096, 768)])
    key = KernelKey("grouped_gemm", "bf16", "bf16", "x", "1", "x")
    groups = Measured(key, "x", ops, np.ones(len(ops))).groups()
    assert groups.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_rows_of_deepseek_v3_whose_groups_tied_are_not_read():
    row = {
        "moe_dtype": "fp8_block", "moe_ep_size": 1, "moe_tp_size": 1, "distribution": "balanced",
        "kernel_source": "vllm_fp8moe_triton", "hidden_size": 7168, "inter_size": 2048,
        "num_tokens": 64, "topk": 8, "num_experts": 256, "latency": 1.39,
    }  # fmt: skip
    others = [row | {"hidden_size": 6144}, row | {"kernel_source": "vllm_fused_moe"}]
    parts = list(moe(pl.DataFrame([row, *others])))
    assert [(p.kernel, p.ops["k"][0]) for p in parts] == [
        ("vllm_fp8moe_triton", 6144),
        ("vllm_fused_moe", 7168),
    ]


def test_places_are_those_of_the_known_numbers():
    known = np.unique(np.random.default_rng(0).integers(0, 2**40, 300))
    asked = np.concatenate([known, known + 1, [0, 2**41]])
    expected = [int(np.flatnonzero(known == a)[0]) if a in known else -1 for a in asked]
    assert Places(known.tolist())(asked).tolist() == expected


def test_a_tile_that_is_half_empty_may_take_longer_than_a_full_one(machine):
    """256 tokens of 2 on 8 experts are 64 rows each, 512 are 128: a tile each."""
    ops = products([256, 512], 4096, 14336, experts=8, top_k=2)
    slow = START | {"part": 3.0}
    half, full = GROUPED_GEMM.seconds(ops, machine, "aligned", slow)[:2]
    assert half > 1.5 * full
    half, full = GROUPED_GEMM.seconds(ops, machine, "layer", slow)[:2]
    assert half <= full


@pytest.mark.parametrize(
    ("schedule", "inner", "outer"),
    [
        ("layer", 192, 2880),
        ("marlin_whole", 256, 3072),
        ("trtllm", 256, 3072),
        ("marlin", 180, 2880),
    ],
)
def test_mxfp4_weights_are_padded_to_what_the_kernel_takes(schedule, inner, outer):
    shape = {"m": 4.0, "experts": 128, "top_k": 4}
    ops = OpTable.build("grouped_gemm", "bf16", "fp4", n=[360, 2880], k=[2880, 180], **shape)
    of = padded(layer(ops), ops, schedule)
    assert (of.inner.tolist(), of.outer.tolist()) == ([inner] * 2, [outer] * 2)
    other = OpTable.build("grouped_gemm", "bf16", "bf16", n=360, k=2880, **shape)
    assert padded(layer(other), other, schedule) == layer(other)


@pytest.mark.parametrize("device", ["H200", "H100", "A100-80G", "B200", "L40S"])
def test_exponents_that_nobody_measured_are_extrapolated(device):
    model = silicon(None, load_device(device, "test"), None, "test")
    shape = {"m": 64, "n": 1536, "k": 4096, "experts": 64, "top_k": 8}
    routing = [0.0, 1.0, 1.01, 1.2, 1.5, 3.0]
    times = model.predict(OpTable.build("grouped_gemm", "bf16", routing=routing, **shape))
    assert times.extrapolated.tolist() == [False] * 4 + [True] * 2
    wide = np.log(times.p90 / times.p10)
    assert wide[4:].min() > 1.5 * wide[:4].max()
