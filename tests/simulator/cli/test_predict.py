"""`tierlab predict` and `tierlab calibrate --from`, as a user runs them."""

import json

import numpy as np
import polars as pl
import pytest

SHAPES = {
    "op": ["gemm", "decode_attention", "prefill_attention", "sample"],
    "batch": [None, 16, 1, None],
    "q_len": [None, 1, 2048, None],
    "kv_len": [None, 4096, 2048, None],
    "heads": [None, 32, 32, None],
    "kv_heads": [None, 8, 8, None],
    "head_dim": [None, 128, 128, None],
    "kv_dtype": [None, "fp8", None, None],
    "m": [512, None, None, 16],
    "n": [4096, None, None, 128256],
    "k": [4096, None, None, None],
    "bytes": [None] * 4,
}
ADDED = {"seconds", "seconds_p10", "seconds_p90", "source", "extrapolated", "kernel"}


@pytest.fixture
def shapes(tmp_path):
    def write(name="shapes.parquet", **changed):
        path = tmp_path / name
        pl.DataFrame(SHAPES | changed).write_parquet(path)
        return str(path)

    return write


def test_times_stand_beside_the_shapes(tierlab, shapes, tmp_path):
    done = tierlab("predict", shapes(), "--hardware", "H200", "-o", "out.parquet")
    assert done.returncode == 0, done.stderr
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert set(out.columns) == set(SHAPES) | ADDED
    assert out["source"].to_list() == ["calibrated"] * 3 + ["datasheet"]
    assert out["kernel"].to_list()[3] == "vllm several pooled"
    assert all("vllm 0.24.0" in name for name in out["kernel"][:3])
    assert (out["seconds_p10"] <= out["seconds"]).all()
    assert (out["seconds"] <= out["seconds_p90"]).all()


def test_datasheet_says_so_and_differs(tierlab, shapes, tmp_path):
    for extra, name in (((), "a.csv"), (("--datasheet",), "b.csv")):
        assert (
            tierlab("predict", shapes(), "--hardware", "H200", *extra, "-o", name).returncode == 0
        )
    own, bare = pl.read_csv(tmp_path / "a.csv"), pl.read_csv(tmp_path / "b.csv")
    assert set(bare["source"]) == {"datasheet"}
    assert (own["seconds"] != bare["seconds"]).head(3).all()


def test_the_gradient_of_attention_has_times_on_every_generation(tierlab, shapes, tmp_path):
    ops = ["prefill_attention_backward", "prefill_attention"] * 2
    sizes = {
        name: [value] * 4
        for name, value in {"batch": 2, "q_len": 4096, "heads": 64, "head_dim": 128}.items()
    } | {"kv_len": [4096, 4096, 8192, 8192], "kv_heads": [8] * 4}
    none = dict.fromkeys(("m", "n", "k", "kv_dtype"), [None] * 4)
    path = shapes(op=ops, **sizes, **none)
    for gpu, kernel in (("H200", "fa3"), ("B200", "fa4"), ("A100-80G", "fa2")):
        done = tierlab("predict", path, "--hardware", gpu, "--datasheet", "-o", "out.parquet")
        assert done.returncode == 0, done.stderr
        out = pl.read_parquet(tmp_path / "out.parquet")
        assert out["kernel"][0] == f"flash-attention several pooled {kernel}"
        back, ahead = (out["seconds"].filter(out["op"] == op) for op in ops[:2])
        assert ((back > 1.5 * ahead) & (back < 8.0 * ahead)).all()
        assert (out["seconds_p10"] < out["seconds"]).all()
        assert (out["seconds"] < out["seconds_p90"]).all()


BAD = {
    "absorbed": (
        {
            "op": ["prefill_attention_backward", *SHAPES["op"][1:]],
            "batch": [1, 16, 1, None],
            "q_len": [8, 1, 2048, None],
            "kv_len": [8, 4096, 2048, None],
            "heads": [4, 32, 32, None],
            "kv_heads": [1, 8, 8, None],
            "head_dim": [576, 128, 128, None],
            "latent_rank": [512, 0, 0, 0],
        },
        "row 1: gradients with latent_rank",
    ),
    "no keys": (
        {"op": ["prefill_attention_backward", *SHAPES["op"][1:]], "q_len": [8, 1, 2048, None]},
        "row 1: prefill_attention_backward without kv_len",
    ),
    "unknown op": ({"op": ["fft", *SHAPES["op"][1:]]}, "row 1: op is 'fft'"),
    "unknown dtype": ({"kv_dtype": [None, "fp9", None, None]}, "row 2: kv_dtype is 'fp9'"),
    "missing size": ({"n": [None] * 4}, "row 1: gemm without n"),
    "negative": ({"batch": [None, -16, 1, None]}, "row 2: batch is -16"),
    "nan": ({"m": [float("nan"), None, None, None]}, "row 1: m is nan"),
    "text": ({"m": ["many"] * 4}, "m: holds String"),
    "unknown column": ({"kvlen": [1, 1, 1, 1]}, "did you mean kv_len"),
    "heads": ({"kv_heads": [None, 64, 8, None]}, "row 2: fewer heads than kv_heads"),
    "latent": ({"latent_rank": [0, 512, 0, 0]}, "row 2: head_dim under latent_rank"),
    "kernel": ({"kernel": ["x", None, None, None]}, "kernel 'x' is not calibrated"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_shapes_are_refused_in_one_line(case, tierlab, shapes, tmp_path):
    changed, expected = BAD[case]
    done = tierlab(
        "predict", shapes(**changed), "--hardware", "H200", "-o", "out.parquet", check=False
    )
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.parquet").exists()


def own_table(path, seconds=lambda m: 5e-6 + 2 * m * 4096.0**2 / 5e14):
    m = np.tile(np.arange(1.0, 41.0) * 100, 2)
    n = np.repeat([4096.0, 2048.0], 40)
    frame = pl.DataFrame({"op": ["gemm"] * 80, "m": m, "n": n, "k": [4096.0] * 80})
    frame = frame.with_columns(seconds=pl.Series(seconds(m) * n / 4096.0))
    frame.write_parquet(path)
    return frame


def test_a_table_of_ones_own_becomes_a_calibration(tierlab, tmp_path):
    frame = own_table(tmp_path / "mine.parquet")
    done = tierlab("calibrate", "--from", "mine.parquet", "--hardware", "H200", "-o", "mine.json")
    assert done.returncode == 0, done.stderr
    frame.drop("seconds").write_parquet(tmp_path / "ask.parquet")
    done = tierlab(
        "predict", "ask.parquet", "--hardware", "H200", "--calibration", "mine.json",
        "-o", "out.parquet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert ((out["seconds"] / frame["seconds"] - 1).abs().median()) < 0.05
    wrong = tierlab(
        "predict",
        "ask.parquet",
        "--hardware",
        "L40S",
        "--calibration",
        "mine.json",
        "-o",
        "x.csv",
        check=False,
    )
    assert wrong.returncode == 2
    assert "calibration of 'H200', not of 'L40S'" in wrong.stderr


def own_gradients(path, seconds=1.0, rows=60):
    """Write times that half of an H200's peak gives, in `seconds`."""
    queries = np.tile([1024.0, 2048.0, 4096.0, 8192.0, 16384.0], rows // 5)
    batch = np.repeat([1.0, 2.0, 4.0], rows // 3)
    shape = {"batch": batch, "q_len": queries, "kv_len": queries}
    heads = {"heads": [32.0] * rows, "kv_heads": [8.0] * rows, "head_dim": [128.0] * rows}
    took = seconds * (3e-5 + 10.0 * batch * 32.0 * 128.0 * queries**2 / 2.0 / 5e14)
    columns = {"op": ["prefill_attention_backward"] * rows} | shape | heads
    pl.DataFrame(columns | {"seconds": took}).write_parquet(path)


def test_gradients_of_ones_own_are_fitted_or_refused(tierlab, tmp_path):
    own_gradients(tmp_path / "mine.parquet")
    asked = ("calibrate", "--from", "mine.parquet", "--hardware", "H200", "-o", "mine.json")
    done = tierlab(*asked)
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(tmp_path / "mine.parquet")
    frame.drop("seconds").write_parquet(tmp_path / "ask.parquet")
    tierlab(
        "predict", "ask.parquet", "--hardware", "H200", "--calibration", "mine.json",
        "-o", "out.parquet",
    )  # fmt: skip
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert set(out["source"]) == {"calibrated"}
    assert ((out["seconds"] / frame["seconds"] - 1).abs().median()) < 0.1
    for changed, expected in (({"seconds": 1e3}, "times in seconds"), ({"rows": 15}, "only 15")):
        own_gradients(tmp_path / "mine.parquet", **changed)
        refused = tierlab(*asked, check=False)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert expected in refused.stderr


def test_measurements_of_ones_own_are_validated(tierlab, tmp_path):
    m, n, k = np.meshgrid(2.0 ** np.arange(12), 512.0 * np.arange(1, 13), 1024.0 * np.arange(1, 9))
    seconds = 6e-6 + np.maximum(n * k * 2 / 4e12, 2 * m * n * k / 6e14)
    shape = {"m": m.ravel(), "n": n.ravel(), "k": k.ravel(), "seconds": seconds.ravel()}
    pl.DataFrame({"op": ["gemm"] * m.size} | shape).write_parquet(tmp_path / "mine.parquet")
    own = ("validate", "--from", "mine.parquet", "--hardware", "H200")
    done = tierlab(*own, "--json", "-o", "page")
    assert done.returncode == 0, done.stderr
    strata = json.loads(done.stdout)["strata"]
    assert sum(row["points"] for row in strata) >= 100
    assert all(row["median"] < 0.05 for row in strata)
    assert (tmp_path / "page" / "validation.html").exists()
    done = tierlab(*own, "--system", "l40s", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "goes with the public tables only" in done.stderr


WRONG = {
    "milliseconds": (lambda m: 1e3 * (5e-6 + m * 6.7e-8), "times in seconds, of this device"),
    "negative": (lambda m: 1.05e-5 - m * 1e-8, "seconds is -"),
    "nan": (lambda m: np.where(m == 300, np.nan, 1e-5), "row 3: seconds is nan"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_times_are_refused(case, tierlab, tmp_path):
    seconds, expected = WRONG[case]
    own_table(tmp_path / "bad.parquet", seconds)
    done = tierlab(
        "calibrate", "--from", "bad.parquet", "--hardware", "H200", "-o", "x.json", check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert expected in done.stderr
    assert not (tmp_path / "x.json").exists()


def test_three_rows_and_a_missing_column_are_refused(tierlab, tmp_path):
    frame = own_table(tmp_path / "t.parquet")
    for part, expected in ((frame.head(3), "only 3 rows"), (frame.drop("seconds"), "'seconds'")):
        part.write_parquet(tmp_path / "few.parquet")
        done = tierlab(
            "calibrate", "--from", "few.parquet", "--hardware", "H200", "-o", "x.json", check=False
        )
        assert done.returncode == 2
        assert expected in done.stderr


def test_the_public_package_is_asked_for_by_name(tierlab, tmp_path):
    done = tierlab(
        "calibrate", "--from", "aiconfigurator", "--system", "h200_sxm", "--tables", str(tmp_path),
        "-o", "x.json", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "holds no tables" in done.stderr
