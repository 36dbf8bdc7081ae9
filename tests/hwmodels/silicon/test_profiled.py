"""A profile of whole-step kernels as measurements of operations."""

from pathlib import Path

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.silicon.profiled import LAYERS, read_profile
from tierlab.hwmodels.time.times import CALIBRATED
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import dense_work
from tierlab.kernels.ops.table import OPS

META = "gpu: NVIDIA GeForce RTX 4090\nmodel: meta-llama/Llama-3.1-8B\nvllm_version: 0.19.0\n"
HEAD = {
    "dense.csv": "layer,tokens,time_us",
    "per_sequence.csv": "layer,sequences,time_us",
    "attention.csv": "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us",
}


@pytest.fixture
def folder(tmp_path):
    """Return a function that writes a small profile, with some files replaced."""

    def write(**replaced: str) -> Path:
        counts = range(1, 5)
        rows = {
            "dense.csv": [f"{layer},{n},{10 + n}" for layer in sorted(set(LAYERS)) for n in counts],
            "per_sequence.csv": [
                f"{x},{n},{20 + n}" for x in ("lm_head", "sampler") for n in counts
            ],
            "attention.csv": ["0,0,2,64,9", "0,0,4,128,12", "16,32,0,0,8", "16,0,2,64,15"],
        }
        for name, lines in rows.items():
            text = "\n".join([HEAD[name], *lines]) + "\n"
            (tmp_path / name).write_text(replaced.get(name.partition(".")[0], text))
        (tmp_path / "profile_meta.yaml").write_text(replaced.get("meta", META))
        return tmp_path

    return write


def test_kernels_get_the_sizes_of_the_model(folder):
    parts = {p.key.op: p for p in read_profile(folder(), "--from")}
    gemm = parts["gemm"]
    sizes = {(int(n), int(k)) for n, k in zip(gemm.ops["n"], gemm.ops["k"], strict=True)}
    assert sizes == {(6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336), (128256, 4096)}
    head = gemm.take(gemm.ops["n"] == 128256)
    np.testing.assert_allclose(head.seconds, [21e-6, 22e-6, 23e-6, 24e-6])
    assert len(parts["elementwise"]) == 4 * 5
    assert {p.key.framework + p.key.version for p in parts.values()} == {"vllm0.19.0"}


SKEW = "pc,n,nb,kvs,kv_big,kv_mean,t_mean_us,t_max_us,t_skew_us"


def test_ragged_batches_are_even_ones_too(folder):
    """Batches (2, 64) and (4, 128) took 9 and 12 us in attention.csv: here three runs add up."""
    rows = ["0,2,1,16,64,40,24,27,25.5", "0,4,1,32,128,56,30,36,33", "16,4,1,32,128,56,90,99,93"]
    path = folder()
    (path / "skew.csv").write_text("\n".join([SKEW, *rows]) + "\n")
    decode = next(p for p in read_profile(path, "--from") if p.key.op == "decode_attention")
    assert decode.ops["kv_len"].tolist() == [65, 129, 41, 57, 41, 57]
    np.testing.assert_allclose(decode.ops["kv_len_spread"][-2:], [65 / 41 - 1, 129 / 57 - 1])
    assert not decode.ops["kv_len_spread"][:-2].any()
    np.testing.assert_allclose(decode.seconds * 1e6, [9, 12, 8, 10, 8.5, 11])


BAD_SKEW = {
    "no column": ("n,pc\n2,0\n", "no column 'nb'"),
    "only chunks": (SKEW + "\n16,2,1,16,64,40,24,27,25\n", "no row of decodes alone"),
    "zero time": (SKEW + "\n0,2,1,16,64,40,24,27,0\n", "skew.csv:2: t_skew_us = '0'"),
    "text": (SKEW + "\n0,2,1,16,long,40,24,27,25\n", "kv_big = 'long'"),
    "more long than all": (SKEW + "\n0,2,3,16,64,40,24,27,25\n", "skew.csv:2: 2 decodes, 3 of"),
    "another mean": (SKEW + "\n0,2,1,16,64,60,24,27,25\n", "mean 60"),
    "another GPU": (SKEW + "\n0,2,1,16,64,40,24,31,25\n", "3.44 x the same batches' time_us"),
    "nothing shared": (SKEW + "\n0,2,1,16,65,40,24,27,25\n", "is in attention.csv"),
}


@pytest.mark.parametrize("case", BAD_SKEW)
def test_bad_ragged_rows_are_refused_in_one_line(case, folder):
    text, expected = BAD_SKEW[case]
    path = folder()
    (path / "skew.csv").write_text(text)
    with pytest.raises(BadInput) as caught:
        read_profile(path, "--from")
    assert expected in caught.value.line()
    assert "\n" not in caught.value.line()


def test_attention_is_taken_where_it_runs_alone(folder):
    parts = {p.key.op: p for p in read_profile(folder(), "--from")}
    decode, prefill = parts["decode_attention"], parts["prefill_attention"]
    assert decode.ops["batch"].tolist() == [2, 4]
    assert decode.ops["kv_len"].tolist() == [65, 129]  # with the token's own
    assert (prefill.ops["q_len"].tolist(), prefill.ops["kv_len"].tolist()) == ([16], [48])
    assert decode.ops["heads"].tolist() == [32, 32]
    np.testing.assert_allclose(prefill.seconds, [8e-6])


BAD = {
    "no gpu": ({"meta": META.replace("gpu:", "card:")}, "key 'gpu' is missing"),
    "unknown model": ({"meta": META.replace("8B", "8C")}, "unknown model"),
    "hybrid model": ({"meta": META.replace("Llama-3.1-8B", "DeepSeek-V3")}, "other layers"),
    "negative": ({"dense": "layer,tokens,time_us\nact_fn,1,-3\n"}, "dense.csv:2: time_us is '-3'"),
    "nan": ({"dense": "layer,tokens,time_us\nact_fn,1,nan\n"}, "time_us is 'nan'"),
    "text": ({"attention": HEAD["attention.csv"] + "\n0,0,2,many,9\n"}, "kv_decode is 'many'"),
    "no column": ({"dense": "layer,count,time_us\nact_fn,1,3\n"}, "no column 'tokens'"),
    "short line": ({"dense": "layer,tokens,time_us\nact_fn,1\n"}, "dense.csv:2: 2 cells"),
    "empty": ({"dense": ""}, "no column 'layer'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_profiles_are_refused_in_one_line(case, folder):
    replaced, expected = BAD[case]
    with pytest.raises(BadInput) as caught:
        read_profile(folder(**replaced), "--from")
    assert expected in caught.value.line()
    assert "\n" not in caught.value.line()


@pytest.mark.shared("measured/vllm_rtx4090/dense.csv")
def test_the_calibration_that_ships_is_near_its_profile(shared_dir):
    model = silicon(None, load_device("rtx4090", "test"), None, "test")
    limits = {
        "gemm": 0.03, "elementwise": 0.10, "decode_attention": 0.03, "prefill_attention": 0.1,
        "sample": 0.02,
    }  # fmt: skip
    for part in read_profile(shared_dir / "measured" / "vllm_rtx4090", "test"):
        times = model.predict(part.ops)
        assert (times.source == CALIBRATED).all()
        seconds = times.seconds
        if part.beside is not None:
            seconds = seconds + model.predict(part.beside.ops).seconds
        error = np.abs(seconds - part.seconds)
        assert error.sum() / part.seconds.sum() < limits[part.key.op]
        if part.key.op == "sample":
            assert (error / part.seconds).max() < 0.08


@pytest.mark.shared("measured/vllm_rtx4090/dense.csv")
def test_a_step_takes_what_its_sampler_took(shared_dir):
    """Widening and sampling are two rows of a step and one time of the profile."""
    parts = {p.key.op: p for p in read_profile(shared_dir / "measured" / "vllm_rtx4090", "test")}
    part, model = parts["sample"], silicon(None, load_device("rtx4090", "test"), None, "test")
    assert part.beside is not None
    assert part.beside.alone is parts["elementwise"]
    step = dense_work(load_model("Llama-3.1-8B", "test"), "bf16", 1, 0, part.ops["m"])
    times, head = model.predict(step.ops).seconds, step.ops.op == OPS.index("gemm")
    small = step.ops["n"] == 4096  # the gathered rows, which the profile's lm_head begins with
    seconds = step.per_step(np.where(head | small, 0.0, times), len(part))
    np.testing.assert_allclose(seconds, part.seconds, rtol=0.08)
    assert np.abs(seconds - part.seconds).sum() / part.seconds.sum() < 0.02


def test_the_sampler_has_the_sizes_of_the_model(folder):
    rows = [f"{x},{n},{20 + n}" for x in ("lm_head", "sampler") for n in range(1, 41)]
    text = "\n".join([HEAD["per_sequence.csv"], *rows]) + "\n"
    parts = {p.key.op: p for p in read_profile(folder(per_sequence=text), "--from")}
    part = parts["sample"]
    assert part.ops["m"].tolist() == list(range(1, 41))
    assert set(part.ops["n"]) == {128256.0}
    np.testing.assert_allclose(part.seconds, (20 + part.ops["m"]) * 1e-6)
    np.testing.assert_allclose(part.beside.ops["bytes"], 6.0 * 128256 * part.ops["m"])
    assert "sample" not in {p.key.op for p in read_profile(folder(), "--from")}  # four rows
