"""The table model on synthetic grids, on bad files, and on a real profile."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.table import ASSUMED_BAND, TableModel, load_table
from tierlab.hwmodels.time.times import CALIBRATED, DATASHEET
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

HEADER = {
    "device": "H200",
    "framework": "vLLM",
    "version": "0.24.0",
    "date": "2026-11-21",
    "machine": "synthetic",
    "command": "a formula",
}
HEADS = {"heads": 32, "kv_heads": 8, "head_dim": 128}


def fallback(name: str = "h200") -> Roofline:
    device = load_device(name, "test")
    assert isinstance(device, Gpu)
    return Roofline(roofline_device(device))


def write(folder: Path, text: str, **header: str) -> Path:
    lines = [f'{key} = "{value}"' for key, value in (HEADER | header).items() if value]
    (folder / "t.toml").write_text("\n".join(lines))
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


def load(folder: Path, text: str, **header: str) -> TableModel:
    return load_table(write(folder, text, **header), "--time", fallback(), "H200")


def rows(head: str, values: list[tuple[object, ...]]) -> str:
    return "\n".join([head, *(",".join(map(str, row)) for row in values)])


BATCHES, CONTEXTS = (1, 2, 4, 8, 16, 32), (128, 512, 2048, 8192, 32768)


def decode_us(batch: float, context: float) -> float:
    return 12.0 + batch * context * 4096 / 4e6


def decode_table() -> str:
    return rows(
        "op,batch,q_len,kv_len,heads,kv_heads,head_dim,time_us",
        [
            ("decode_attention", b, 1, c, 32, 8, 128, decode_us(b, c))
            for b in BATCHES
            for c in CONTEXTS
        ],
    )


def decode(batch: object, context: object, **other: float) -> OpTable:
    shape = {"batch": batch, "q_len": 1, "kv_len": context} | HEADS | other
    return OpTable.build("decode_attention", "bf16", "bf16", **shape)  # type: ignore[arg-type]


def test_exact_at_the_nodes(tmp_path: Path) -> None:
    batch, context = (x.ravel() for x in np.meshgrid(BATCHES, CONTEXTS))
    times = load(tmp_path, decode_table()).predict(decode(batch, context))
    np.testing.assert_allclose(times.seconds, decode_us(batch, context) * 1e-6, rtol=1e-12)
    assert (times.source == CALIBRATED).all()
    assert not times.extrapolated.any()


def test_exact_between_the_nodes_of_a_bilinear_law(tmp_path: Path) -> None:
    """Fixed cost plus batch times context: what plain interpolation reproduces."""
    rng = np.random.default_rng(0)
    batch, context = rng.uniform(1, 32, 500), rng.uniform(128, 32768, 500)
    times = load(tmp_path, decode_table()).predict(decode(batch, context))
    np.testing.assert_allclose(times.seconds, decode_us(batch, context) * 1e-6, rtol=1e-9)


def test_a_power_law_is_interpolated_on_the_logarithmic_scale(tmp_path: Path) -> None:
    sizes = [4**i for i in range(12)]
    table = rows("op,m,n,k,seconds", [("gemm", m, 64, 64, 1e-6 * m**0.7) for m in sizes])
    between = np.array([3.0, 100.0, 1e4, 1e6])
    times = load(tmp_path, table).predict(OpTable.build("gemm", "bf16", m=between, n=64, k=64))
    np.testing.assert_allclose(times.seconds, 1e-6 * between**0.7, rtol=1e-9)


def test_monotone_nodes_give_monotone_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    us = np.cumsum(rng.uniform(0.01, 30, 20))
    table = rows("op,m,n,k,time_us", [("gemm", 50 * i + 1, 64, 64, us[i]) for i in range(20)])
    m = np.linspace(0, 3000, 5000)
    times = load(tmp_path, table).predict(OpTable.build("gemm", "bf16", m=m, n=64, k=64))
    assert (np.diff(times.seconds) >= 0).all()


def test_outside_the_range_is_flagged_and_the_band_widens(tmp_path: Path) -> None:
    model = load(tmp_path, decode_table())
    times = model.predict(decode([1, 1, 4, 64, 128], [128, 64, 40_000, 1024, 131_072]))
    assert times.extrapolated.tolist() == [False, True, True, True, True]
    assert times.seconds[1] == pytest.approx(decode_us(1, 128) * 1e-6)  # held below
    expected = [decode_us(4, 40_000), decode_us(64, 1024), decode_us(128, 131_072)]
    np.testing.assert_allclose(times.seconds[2:], np.array(expected) * 1e-6, rtol=1e-9)
    width = np.log(times.p90 / times.p10)
    assert width[0] < width[2] < width[3] < width[4]


def test_a_falling_edge_is_not_continued_downwards(tmp_path: Path) -> None:
    us = [10, 20, 30, 25]
    table = rows(
        "op,m,n,k,time_us", [("gemm", m, 8, 8, t) for m, t in zip((1, 2, 3, 4), us, strict=True)]
    )
    times = load(tmp_path, table).predict(OpTable.build("gemm", "bf16", m=[4, 50], n=8, k=8))
    assert times.seconds.tolist() == pytest.approx([25e-6, 25e-6])


def without(table: str, start: str) -> str:
    return "\n".join(line for line in table.splitlines() if not line.startswith(start))


def test_a_missing_corner_is_filled_and_flagged(tmp_path: Path) -> None:
    model = load(tmp_path, without(decode_table(), "decode_attention,32,1,32768"))
    times = model.predict(decode([32, 32, 30], [32768, 8192, 20_000]))
    assert times.extrapolated.tolist() == [True, False, True]
    assert times.seconds[0] == pytest.approx(decode_us(32, 32768) * 1e-6, rel=1e-9)


def test_a_hole_between_measured_points_is_interpolated(tmp_path: Path) -> None:
    model = load(tmp_path, without(decode_table(), "decode_attention,8,1,2048"))
    times = model.predict(decode([8, 7], [2048, 1500]))
    assert not times.extrapolated.any()
    expected = [decode_us(8, 2048) * 1e-6, decode_us(7, 1500) * 1e-6]
    assert times.seconds == pytest.approx(expected, rel=1e-9)


def test_repeats_count_with_their_median(tmp_path: Path) -> None:
    values = [("gemm", m, 8, 8, t) for m in (1, 2, 4, 8) for t in (10 * m, 11 * m, 99 * m)]
    model = load(tmp_path, rows("op,m,n,k,time_us", values))
    assert model.predict(OpTable.build("gemm", "bf16", m=4, n=8, k=8)).seconds[0] == pytest.approx(
        44e-6
    )


def test_the_band_holds_four_of_five_unseen_points(tmp_path: Path) -> None:
    """Noise of 10% on the nodes; the truth is drawn with the same noise."""
    rng = np.random.default_rng(5)
    m = np.arange(1, 400) * 8
    noisy = (5 + 0.05 * m) * np.exp(0.1 * rng.standard_normal(len(m)))
    model = load(
        tmp_path,
        rows("op,m,n,k,time_us", [("gemm", a, 8, 8, t) for a, t in zip(m, noisy, strict=True)]),
    )
    between = m[:-1] + 4
    times = model.predict(OpTable.build("gemm", "bf16", m=between, n=8, k=8))
    truth = (5 + 0.05 * between) * 1e-6 * np.exp(0.1 * rng.standard_normal(len(between)))
    covered = ((truth >= times.p10) & (truth <= times.p90)).mean()
    assert 0.74 < covered < 0.88


def test_too_few_inner_nodes_take_the_assumed_band(tmp_path: Path) -> None:
    table = rows("op,m,n,k,time_us", [("gemm", m, 8, 8, 10 + m) for m in (1, 2, 4, 8)])
    times = load(tmp_path, table).predict(OpTable.build("gemm", "bf16", m=3, n=8, k=8))
    assert times.p10[0] / times.seconds[0] == pytest.approx(ASSUMED_BAND[0])
    assert times.p90[0] / times.seconds[0] == pytest.approx(ASSUMED_BAND[1])


@pytest.mark.parametrize(
    "ops",
    [
        decode(4, 1024, heads=64),
        decode(4, 1024, window=128),
        OpTable.build("decode_attention", "bf16", "fp8", batch=4, q_len=1, kv_len=1024, **HEADS),
        OpTable.build("gemm", "bf16", m=4, n=4096, k=4096),
    ],
)
def test_what_the_table_lacks_is_the_fallbacks(tmp_path: Path, ops: OpTable) -> None:
    times, other = load(tmp_path, decode_table()).predict(ops), fallback().predict(ops)
    assert times.source[0] == DATASHEET
    assert times.extrapolated[0]
    assert times.seconds[0] == other.seconds[0]


def test_a_table_without_routing_answers_for_any(tmp_path: Path) -> None:
    head = "op,dtype,kv_dtype,m,n,k,experts,top_k,time_us"
    text = rows(
        head, [("grouped_gemm", "bf16", "bf16", m, 64, 64, 8, 2, 5.0 + m) for m in (1, 9, 17, 33)]
    )
    shape = {"n": 64, "k": 64, "experts": 8, "top_k": 2}
    ops = OpTable.build("grouped_gemm", "bf16", "bf16", m=9, routing=[0, 1, 1.2], **shape)
    times = load(tmp_path, text).predict(ops)
    np.testing.assert_allclose(times.seconds, 14e-6)


def test_mixed_lengths_are_flagged_where_only_equal_ones_were_measured(tmp_path: Path) -> None:
    times = load(tmp_path, decode_table()).predict(decode(4, 1024, kv_len_spread=0.5))
    assert times.source[0] == CALIBRATED
    assert times.extrapolated[0]


def test_prompts_without_a_past_lie_on_a_grid(tmp_path: Path) -> None:
    values = [
        ("prefill_attention", b, q, q, 32, 8, 128, 10 + b * q * q / 1e5)
        for b in (1, 2, 4)
        for q in (128, 512, 2048, 8192)
    ]
    model = load(tmp_path, rows("op,batch,q_len,kv_len,heads,kv_heads,head_dim,time_us", values))
    build = {"batch": 2, "q_len": 2048} | HEADS
    fresh = model.predict(OpTable.build("prefill_attention", "bf16", "bf16", kv_len=2048, **build))
    assert fresh.seconds[0] == pytest.approx((10 + 2 * 2048**2 / 1e5) * 1e-6)
    chunk = model.predict(OpTable.build("prefill_attention", "bf16", "bf16", kv_len=9000, **build))
    assert chunk.source[0] == DATASHEET


def test_a_header_may_choose_other_axes(tmp_path: Path) -> None:
    sizes = (512, 1024, 4096)
    values = [("gemm", m, n, 4096, 5 + m * n / 1e5) for m in sizes for n in sizes]
    path = write(tmp_path, rows("op,m,n,k,time_us", values))
    header = path.with_suffix(".toml")
    header.write_text(header.read_text() + '\naxes = ["m", "n"]')
    times = load_table(path, "t", fallback()).predict(
        OpTable.build("gemm", "bf16", m=700, n=3000, k=4096)
    )
    assert times.seconds[0] == pytest.approx((5 + 700 * 3000 / 1e5) * 1e-6)
    assert not times.extrapolated[0]


def test_a_folder_is_one_table(tmp_path: Path) -> None:
    write(tmp_path, decode_table())
    (tmp_path / "t.toml").rename(tmp_path / "table.toml")
    (tmp_path / "gemm.csv").write_text(
        rows("# measured\nop,m,n,k,time_ms", [("gemm", m, 8, 8, 0.01 * m) for m in (1, 2, 3, 4)])
    )
    model = load_table(tmp_path, "t", fallback(), "h200")
    times = model.predict(
        OpTable.concat([decode(2, 512), OpTable.build("gemm", "bf16", m=3, n=8, k=8)])
    )
    assert times.seconds == pytest.approx([decode_us(2, 512) * 1e-6, 3e-5])
    assert "vLLM 0.24.0" in model.name


GOOD = rows("op,m,n,k,time_us", [("gemm", m, 4096, 4096, 10 + m / 50) for m in (1, 2, 4, 8, 16)])
BAD = {
    "no op": (GOOD.replace("op,", "kind,", 1), {}, "column 'op' is missing"),
    "no time": (GOOD.replace("time_us", "window"), {}, "0 time columns"),
    "unknown column": (GOOD.replace(",k,", ",kk,"), {}, "unknown column 'kk'"),
    "near miss": (GOOD.replace("time_us", "time_uss"), {}, "did you mean time_us"),
    "twice": (GOOD.replace(",n,", ",m,", 1), {}, "repeated column 'm'"),
    "unknown op": (
        GOOD.replace("gemm,8", "gem,8"),
        {},
        "unknown op 'gem'; accepted: did you mean gemm",
    ),
    "negative": (GOOD + "\ngemm,32,4096,4096,-3", {}, "t.csv:7: time_us -3.0 is not the time"),
    "nan": (GOOD + "\ngemm,32,4096,4096,nan", {}, "t.csv:7: time_us nan"),
    "infinite": (GOOD + "\ngemm,inf,4096,4096,3", {}, "m inf is not a size"),
    "no routing": (
        "op,m,n,k,experts,top_k,routing,time_us\ngrouped_gemm,8,64,64,8,2,0.5,3",
        {},
        "routing is 0.5",
    ),
    "negative size": (GOOD + "\ngemm,-1,4096,4096,3", {}, "m -1 is not a size"),
    "word": (GOOD + "\ngemm,x,4096,4096,3", {}, "m 'x' is no number"),
    "cells": (GOOD + "\ngemm,1,2", {}, "3 cells under 5 columns"),
    "three rows": ("\n".join(GOOD.splitlines()[:4]), {}, "3 rows of gemm are too few"),
    "empty": ("", {}, "column 'op' is missing"),
    "no rows": ("op,m,n,k,time_us", {}, "no rows"),
    "unit": (GOOD.replace("time_us", "time_ms"), {}, "x what the device's datasheet"),
    "device": (GOOD, {"device": "A100-80G"}, "times of 'A100-80G', not of 'H200'"),
    "provenance": (GOOD, {"command": ""}, "command = None: no provenance"),
    "scattered": (
        rows("op,m,batch,n,k,time_us", [("gemm", m, 3 * m, 8, 8, 10 + m) for m in range(1, 41)]),
        {},
        "40 points lie scattered over a grid of 1600 cells",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, case: str) -> None:
    text, header, says = BAD[case]
    with pytest.raises(BadInput) as error:
        load(tmp_path, text, **header)
    assert says in error.value.line()
    assert "\n" not in error.value.line()


def test_a_header_with_an_unknown_key_or_axis_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    header = path.with_suffix(".toml").read_text()
    for line, says in (
        ("machin = 1", "did you mean machine"),
        ('axes = ["x"]', "no list of columns"),
    ):
        path.with_suffix(".toml").write_text(f"{header}\n{line}")
        with pytest.raises(BadInput, match=says):
            load_table(path, "t", fallback())


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"t\.toml"):
        load_table(tmp_path / "t.csv", "--time", fallback())
    with pytest.raises(BadInput, match=r"no \.csv in the folder"):
        load_table(tmp_path, "--time", fallback())


PROFILE = "measured/vllm_rtx4090"
LLAMA_8B = {
    "qkv_proj": (6144, 4096),
    "o_proj": (4096, 4096),
    "gate_up_proj": (28672, 4096),
    "down_proj": (4096, 14336),
}


def profile(shared: Path) -> tuple[OpTable, np.ndarray]:
    """The GEMMs and the pure decode attention of a real vLLM profile of Llama-3.1-8B."""
    ops, seconds = [], []
    with (shared / PROFILE / "dense.csv").open() as file:
        for row in csv.DictReader(file):
            if row["layer"] in LLAMA_8B:
                n, k = LLAMA_8B[row["layer"]]
                ops.append(OpTable.build("gemm", "bf16", "bf16", m=int(row["tokens"]), n=n, k=k))
                seconds.append(float(row["time_us"]) * 1e-6)
    with (shared / PROFILE / "attention.csv").open() as file:
        for row in csv.DictReader(file):
            if row["prefill_chunk"] == "0":
                ops.append(decode(int(row["n_decode"]), int(row["kv_decode"])))
                seconds.append(float(row["time_us"]) * 1e-6)
    return OpTable.concat(ops), np.array(seconds)


@pytest.mark.shared(PROFILE)
def test_a_real_profile_predicts_its_left_out_points(tmp_path: Path, shared_dir: Path) -> None:
    """Every fourth token count of the GEMMs is left out and predicted within 2% in the median."""
    ops, seconds = profile(shared_dir)
    names = ("op", "m", "n", "k", "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim")
    left_out = (ops.op == 0) & (np.arange(len(ops)) % 4 == 1)
    kept = ops.take(~left_out)
    values = [["gemm" if op == 0 else "decode_attention" for op in kept.op]]
    values += [kept[name].tolist() for name in names[1:]] + [seconds[~left_out].tolist()]
    table = rows(",".join((*names, "seconds")), list(zip(*values, strict=True)))
    path = write(tmp_path, table, device="RTX 4090")
    model = load_table(path, "t", fallback("rtx-4090"), "RTX-4090")
    at_nodes = model.predict(kept)
    np.testing.assert_allclose(at_nodes.seconds, seconds[~left_out], rtol=1e-9)
    times = model.predict(ops.take(left_out))
    error = np.abs(times.seconds / seconds[left_out] - 1)
    assert len(error) > 100
    assert np.median(error) < 0.02
    inside = (seconds[left_out] >= times.p10) & (seconds[left_out] <= times.p90)
    assert inside.mean() > 0.75


@pytest.mark.shared(PROFILE)
def test_the_roofline_on_a_gpu_that_took_no_part(shared_dir: Path) -> None:
    """Pins what docs/results/roofline_bands.md says of the RTX 4090, bands too narrow included."""
    ops, seconds = profile(shared_dir)
    times = fallback("rtx-4090").predict(ops)
    error = np.abs(times.seconds / seconds - 1)
    inside = (seconds >= times.p10) & (seconds <= times.p90)
    gemm = ops.op == 0
    assert np.median(error[gemm]) == pytest.approx(0.177, abs=0.01)
    assert np.median(error[~gemm]) == pytest.approx(0.065, abs=0.01)
    assert inside[gemm].mean() == pytest.approx(0.37, abs=0.02)
    assert inside[~gemm].mean() == 1.0
