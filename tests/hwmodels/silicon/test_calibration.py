"""Calibration files: what is written is read, and what is broken is refused in one line."""

import base64
import json
import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device, load_system
from tierlab.hwmodels.time.silicon.boost import Boosting, grow
from tierlab.hwmodels.time.silicon.bytime import ByTime
from tierlab.hwmodels.time.silicon.calibration import SHIPPED, Calibration, dump, load
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.fitted import WIDER, WIDER_AN_OCTAVE, WIDEST
from tierlab.hwmodels.time.silicon.make import calibration_for, of_calibration, silicon
from tierlab.hwmodels.time.times import CALIBRATED, DATASHEET
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

FILES = sorted(SHIPPED.glob("*.json"))
SOURCES = ("aiconfigurator", "LLMServingSim", "published_backward.csv")


@pytest.fixture(scope="session")
def made(synthetic, machine) -> Calibration:
    one = fit(synthetic("gemm"), machine, Options())
    x = np.linspace(0.0, 12.0, 60)
    trees = grow({"m": x, "n": x, "k": x}, np.sin(x) / 20.0, Boosting(trees=5))
    by_time = ByTime((20e-6,), (trees, trees))
    return Calibration("H200", "test", (replace(one, trees=by_time),))


def gemm(**columns: object) -> OpTable:
    return OpTable.build("gemm", "bf16", **({"m": [1, 512], "n": 4096, "k": 4096} | columns))


def test_a_file_gives_back_what_was_fitted(made, machine, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(dump(made))
    again = load(path, "--calibration", "h200")
    ops = gemm(m=2.0 ** np.arange(12))
    before, after = (c.kernels[0].predict(ops, machine) for c in (made, again))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, rtol=2e-3)
    assert again.kernels[0].key == made.kernels[0].key
    assert again.kernels[0].points == made.kernels[0].points


def broken(made: Calibration, tmp_path: Path, change) -> Path:
    data = json.loads(dump(made))
    change(data)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    return path


def trees(**changed: object):
    return lambda d: d["kernels"][0]["trees"]["forests"][0].update(changed)


def ranges(**changed: object):
    return lambda d: d["kernels"][0]["trees"].update(changed)


def falling(trees: dict[str, list[object]]) -> None:
    trees["cuts_us"] = [30.0, 20.0]
    trees["forests"].append(trees["forests"][0])


BAD = {
    "another device": (lambda d: d.update(device="L40S"), "calibration of 'L40S', not of 'H200'"),
    "another format": (lambda d: d.update(format="x"), "format is 'x'"),
    "no kernels": (lambda d: d.update(kernels=[]), "holds no kernels"),
    "nan": (lambda d: d["kernels"][0]["parameters"].update(peak=float("nan")), "peak: value nan"),
    "negative": (lambda d: d["kernels"][0]["parameters"].update(peak=-0.5), "value -0.5"),
    "wrong unit": (lambda d: d["kernels"][0]["parameters"].update(launch_us=3e6), "launch_us"),
    "missing": (lambda d: d["kernels"][0]["parameters"].pop("peak"), "'peak' is missing"),
    "unknown": (lambda d: d["kernels"][0]["parameters"].update(speed=1.0), "unknown 'speed'"),
    "unknown op": (lambda d: d["kernels"][0].update(op="fft"), "op is 'fft'"),
    "schedule": (lambda d: d["kernels"][0].update(schedule="x"), "schedule is 'x'"),
    "band": (lambda d: d["kernels"][0].update(p10=[1.2, 1.0, 1.0]), "p10: value 1.2"),
    "short band": (lambda d: d["kernels"][0].update(p90=[1.2]), "p90 is [1.2]"),
    "few edges": (trees(edges=[3]), "3 names, edges of 1"),
    "edges": (trees(edges=[0.5]), "edges are no counts"),
    "many edges": (trees(edges=[999]), "edges are no counts"),
    "damaged": (trees(packed="0"), "packed is damaged"),
    "cut": (trees(packed=base64.b85encode(lzma.compress(b"123")).decode()), "3 bytes"),
    "cuts": (ranges(cuts_us=[30.0, 20.0]), "2 forests, 2 cuts"),
    "no rising cuts": (lambda d: falling(d["kernels"][0]["trees"]), "cuts_us is [30.0, 20.0]"),
    "cut of no time": (ranges(cuts_us=[-1.0]), "cuts_us: value -1.0"),
    "no list": (ranges(forests={}), "cuts_us or forests is no list"),
    "no spread": (lambda d: d["kernels"][0].pop("spread"), "'spread' is missing"),
    "damaged spread": (lambda d: d["kernels"][0]["spread"].update(packed="0"), "spread: packed is"),
    "no trees": (lambda d: d["kernels"][0].pop("trees"), "'trees' is missing"),
    "range": (lambda d: d["kernels"][0]["ranges"].update(m=[5.0, 1.0]), "ranges: m"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_one_line(case, made, tmp_path):
    change, expected = BAD[case]
    with pytest.raises(BadInput) as caught:
        load(broken(made, tmp_path, change), "--calibration", "H200")
    assert expected in caught.value.line()
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize("text", ["", "[]", "{", "3", '{"format": "tierlab-calibration-3"}'])
def test_what_is_no_calibration_is_refused(text, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(BadInput):
        load(path, "--calibration", "H200")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_what_ships_loads_and_states_its_source(path):
    found = load(path, "test")
    assert found.made
    for kernel in found.kernels:
        assert any(name in kernel.source for name in SOURCES)
        assert kernel.points >= 30
        band = zip(kernel.bands.p10, kernel.bands.p90, strict=True)
        assert all(low <= 1.0 <= high for low, high in band)


@pytest.mark.parametrize("name", ["h200", "h100", "a100-80g", "b200", "l40s", "rtx4090"])
def test_six_devices_are_calibrated(name):
    model = silicon(None, load_device(name, "test"), None, "test")
    times = model.predict(gemm())
    assert (times.source == CALIBRATED).all()
    assert (times.p10 <= times.seconds).all()
    assert (times.seconds <= times.p90).all()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_what_ships_is_small(path):
    assert path.stat().st_size < 2_000_000


EXTREME = {
    "gemm": {"m": (1, 1e7), "n": (8, 1e6), "k": (8, 1e6)},
    "decode_attention": {"batch": (1, 1e5), "kv_len": (1, 1e7), "heads": (8, 512)},
    "prefill_attention": {"batch": (1, 1e4), "q_len": (1, 1e6), "heads": (8, 512)},
}


@pytest.mark.parametrize("op", EXTREME)
@pytest.mark.parametrize("name", ["h200", "h100", "a100-80g", "b200", "l40s"])
def test_extreme_shapes_are_close_to_the_formula(op, name):
    mesh = np.meshgrid(*EXTREME[op].values(), indexing="ij")
    columns = {k: m.ravel() for k, m in zip(EXTREME[op], mesh, strict=True)}
    if op != "gemm":
        columns |= {"kv_heads": 8.0, "head_dim": 128.0}
        columns |= {"q_len": 1.0} if op.startswith("decode") else {"kv_len": columns["q_len"]}
    gpu = load_device(name, "test")
    model = silicon(None, gpu, None, "test")
    times = model.predict(OpTable.build(op, "bf16", "bf16", **columns))
    bare = silicon_formula(gpu, OpTable.build(op, "bf16", "bf16", **columns))
    assert np.isfinite(times.seconds).all()
    assert (times.seconds > 1e-7).all()
    ratio = times.seconds / bare
    assert ((ratio > 0.2) & (ratio < 5.0)).all()
    assert times.extrapolated[-1]
    assert ratio[-1] == pytest.approx(1.0, abs=0.1)


def silicon_formula(gpu, ops):
    calibration = calibration_for(gpu, None, "x")
    bare = tuple(replace(k, trees=None) for k in calibration.kernels)
    return of_calibration(replace(calibration, kernels=bare), gpu, None).predict(ops).seconds


def test_a_device_that_nobody_measured_is_predicted_from_its_datasheet():
    system = load_system("A6000")
    times = silicon(None, system.gpu, None, "test").predict(gemm())
    assert (times.source == DATASHEET).all()


def test_products_in_dtypes_that_a_gpu_lacks_are_no_kernel_of_another_one():
    system = load_system("A6000")
    model = silicon(None, system.gpu, None, "test")
    shape = {"m": [8.0, 4096.0], "n": 4096, "k": 4096}
    wide = model.predict(OpTable.build("gemm", "bf16", "bf16", **shape))
    for dtype in ("fp8", "fp4"):
        narrow = model.predict(OpTable.build("gemm", dtype, dtype, **shape))
        assert narrow.extrapolated.all()
        assert narrow.seconds[0] < wide.seconds[0]


@pytest.mark.parametrize("device", ["RTX-4090", "A6000"])
def test_bands_of_borrowed_products_promise_no_more_than_the_peak(device):
    system = load_system(device)
    shape = {"m": [512.0, 4096.0], "n": 8192, "k": 8192}
    times = silicon(None, system.gpu, None, "test").predict(
        OpTable.build("gemm", "bf16", "int4", **shape)
    )
    least_s = 2 * np.array(shape["m"]) * 8192**2 / system.gpu.peak_flop_per_s["bf16"]
    assert (times.p10 >= 0.999 * least_s).all()
    assert (times.p10 < times.seconds).all()


def test_bf16_is_answered_for_a_gpu_that_has_fp16_alone():
    system = load_system("T4")
    _, member = silicon(None, system.gpu, None, "test").explain(gemm())
    assert (member >= 0).all()


def test_datasheet_leaves_the_own_fit_out():
    gpu = load_device("H200", "test")
    plain = of_calibration(calibration_for(gpu, None, "x"), gpu, None).predict(gemm())
    bare = of_calibration(calibration_for(gpu, None, "x", datasheet=True), gpu, None).predict(
        gemm()
    )
    assert (bare.source == DATASHEET).all()
    assert (bare.seconds != plain.seconds).all()
    assert ((bare.p90 / bare.p10) > (plain.p90 / plain.p10)).all()


def test_a_measured_shape_is_inside_although_files_round_their_ranges():
    """Kimi K2's experts are the only ones with 4-bit weights: log2 of 384 has more digits."""
    system = load_system("H200", "test")
    model = silicon(None, system.gpu, system.peer_link, "test")
    layer = {"m": [1, 64, 4096], "n": 4096, "k": 7168, "experts": 384, "top_k": 8}
    times = model.predict(OpTable.build("grouped_gemm", "bf16", "int4", **layer))
    assert (times.source == CALIBRATED).all()
    assert not times.extrapolated.any()


def test_a_shape_outside_the_measured_range_is_flagged_with_a_wider_band():
    model = silicon(None, load_device("H200", "test"), None, "x")
    times = model.predict(gemm(m=[32768, 2**20, 2**22]))
    assert times.extrapolated.tolist() == [False, True, True]
    width = np.log(times.p90 / times.p10)
    assert width[1] > (WIDER + 5 * WIDER_AN_OCTAVE) / 2 * width[0]
    assert width[1] < width[2] == pytest.approx(2 * np.log(WIDEST))
