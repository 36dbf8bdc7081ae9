"""`predict`, `calibrate` and `validate` on wrong input: one line, exit 2, nothing half written."""

import json
import re

import pytest

from tierlab.hwmodels.time.silicon import others
from tierlab.hwmodels.time.silicon.calibration import SHIPPED
from tierlab.simulator.cli.main import run_cli

GOOD = "op,m,n,k\ngemm,16,4096,4096\n"
SHAPES = {
    "empty": ("empty.csv", "", "empty CSV"),
    "empty parquet": ("empty.parquet", "", "a valid .parquet"),
    "a csv called parquet": ("c.parquet", GOOD, "a valid .parquet"),
    "header alone": ("head.csv", "op,m,n,k\n", "holds no rows"),
    "no op": ("noop.csv", "m,n,k\n1,2,3\n", "column 'op' is missing"),
    "op null": ("null.csv", "op,m,n,k\n,1,2,3\n", "row 1: op is ''"),
    "no k": ("nok.csv", "op,m,n\ngemm,1,2\n", "row 1: gemm without k"),
    "infinite": ("inf.csv", "op,m,n,k\ngemm,1,inf,2\n", "row 1: n is inf"),
    "short line": ("short.csv", GOOD + "gemm,1\n", "row 2: gemm without n"),
    "of another kind": ("x.txt", GOOD, "unknown kind"),
    "no norm's width": ("norm.csv", "op,m\nnorm,16\n", "row 1: norm without n"),
    "no state": ("m.csv", "op,heads,head_dim\nmamba_decode,8,64\n", "without state_size"),
    "no routing": (
        "e.csv",
        "op,m,n,k,experts,top_k,routing\ngrouped_gemm,9,64,64,8,2,0.5\n",
        "routing is 0.5; accepted: even (0), uniform (1)",
    ),
    "no devices": ("d.csv", "op,bytes\nall_reduce,1000\n", "without devices"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_wrong_shapes(case, refused, tmp_path):
    name, text, expected = SHAPES[case]
    (tmp_path / name).write_text(text)
    refused(expected, "predict", name, "--hardware", "H200", "-o", "o.parquet")


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command in this process and checks how it is refused."""
    monkeypatch.chdir(tmp_path)

    def check(expected: str, *words: str) -> None:
        before = sorted(p.name for p in tmp_path.iterdir())
        assert run_cli(list(words)) == 2
        done = capsys.readouterr()
        assert expected in done.err
        assert done.err.startswith("tierlab: error: ")
        assert (done.out, done.err.count("\n")) == ("", 1)
        assert sorted(p.name for p in tmp_path.iterdir()) == before

    return check


def test_a_folder_or_a_missing_file_is_no_table(refused, tmp_path):
    (tmp_path / "d.parquet").mkdir()
    for name in ("d.parquet", "missing.csv"):
        words = ("predict", name, "--hardware", "H200", "-o", "o.csv")
        refused("no such file", *words)


@pytest.mark.parametrize("target", ["d.parquet", "absent/o.parquet", "o.txt", "/proc/o.parquet"])
def test_what_cannot_be_written_is_refused(target, refused, tmp_path):
    (tmp_path / "d.parquet").mkdir()
    (tmp_path / "good.csv").write_text(GOOD)
    words = ("predict", "good.csv", "--hardware", "H200", "-o", target)
    refused("cannot write", *words)


def cut(text: str) -> str:
    return text[: len(text) // 2]


def changed(**keys: object):
    return lambda text: json.dumps(json.loads(text) | keys)


CALIBRATIONS = {
    "truncated": (cut, "not JSON"),
    "empty": (lambda text: "", "not JSON"),
    "another device": (changed(device="L40S"), "calibration of 'L40S', not of 'RTX-4090'"),
    "another format": (changed(format="x"), "format is 'x'"),
    "no kernels": (changed(kernels=[]), "holds no kernels"),
    "kernels are text": (changed(kernels="gemm"), "holds no kernels"),
    "nan": (lambda t: re.sub('"launch_us":[0-9.]+', '"launch_us":NaN', t, count=1), "value nan"),
    "wrong unit": (lambda t: re.sub('"launch_us":', '"launch_us":1000', t, count=1), "launch_us"),
}


@pytest.mark.parametrize("case", CALIBRATIONS)
def test_wrong_calibrations(case, refused, tmp_path):
    change, expected = CALIBRATIONS[case]
    (tmp_path / "good.csv").write_text(GOOD)
    shipped = (SHIPPED / "rtx-4090.json").read_text(encoding="utf-8")
    (tmp_path / "c.json").write_text(change(shipped))
    words = ("predict", "good.csv", "--hardware", "RTX-4090", "--calibration", "c.json")
    refused(expected, *words, "-o", "o.csv")


def test_a_calibration_and_the_datasheet_exclude_each_other(refused, tmp_path):
    (tmp_path / "good.csv").write_text(GOOD)
    words = ("predict", "good.csv", "--hardware", "H200", "--calibration", "c.json", "--datasheet")
    refused("exclude each other", *words, "-o", "o.csv")


CALIBRATE = {
    "unknown source": (("--from", "nothing", "--hardware", "H200"), "unknown source 'nothing'"),
    "unknown kernel": (("--from", "t.csv", "--hardware", "H200", "--op", "fft"), "'fft'"),
    "no device": (("--from", "t.csv"), "--hardware: is missing"),
    "no seconds": (("--from", "t.csv", "--hardware", "H200"), "'seconds' is missing"),
    "no profile": (("--from", "folder"), "profile_meta.yaml"),
    "another device": (("--from", "p", "--hardware", "H200"), "is of NVIDIA GeForce RTX 4090"),
    "nothing to fit": (("--from", "p", "--op", "all_reduce"), "has none of all_reduce"),
    "onto another": (("--from", "p", "--onto", "h200.json"), "not of 'RTX-4090'"),
    "lacking of nothing": (("--from", "p", "--lacking"), "--lacking: without --onto"),
    "nothing lacking": (
        ("--from", "p", "--onto", "own.json", "--lacking"),
        "has kernels of all that is asked",
    ),
    "device's option": (("--from", "t.csv", "--budget", "0"), "--budget: goes with --device only"),
    "source's option": (("--device", "cpu", "--op", "gemm"), "--op: goes with --from only"),
    "its default": (("--device", "cpu", "--framework", "vllm"), "--framework: goes with --from"),
    "tables' option": (("--from", "t.csv", "--system", "x"), "goes with --from aiconfigurator"),
}


@pytest.mark.parametrize("case", CALIBRATE)
def test_wrong_sources(case, refused, tmp_path):
    words, expected = CALIBRATE[case]
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "folder").mkdir()
    profile(tmp_path / "p")
    text = (SHIPPED / "rtx-4090.json").read_text(encoding="utf-8")
    (tmp_path / "own.json").write_text(text)
    (tmp_path / "h200.json").write_text(changed(device="H200")(text))
    refused(expected, "calibrate", *words, "-o", "o.json")


def profile(folder) -> None:
    folder.mkdir()
    counts = range(1, 41)
    (folder / "profile_meta.yaml").write_text(
        "gpu: NVIDIA GeForce RTX 4090\nmodel: meta-llama/Llama-3.1-8B\nvllm_version: 0.19.0\n"
    )
    dense = [f"{layer},{n},{90 + n}" for layer in ("o_proj", "act_fn") for n in counts]
    (folder / "dense.csv").write_text("\n".join(["layer,tokens,time_us", *dense]))
    (folder / "per_sequence.csv").write_text("layer,sequences,time_us\nlm_head,1,600.0\n")
    attention = [f"0,0,{n},1024,{10 + n}" for n in counts] + [f"{n},0,0,0,{9 + n}" for n in counts]
    head = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us"
    (folder / "attention.csv").write_text("\n".join([head, *attention]))


def test_a_profile_in_milliseconds_is_refused(refused, tmp_path):
    profile(tmp_path / "p")
    path = tmp_path / "p" / "attention.csv"
    path.write_text(path.read_text().replace(",1024,", ",16,").replace(",1", ",1000000"))
    refused("of this device", "calibrate", "--from", "p", "-o", "o.json")


def test_nothing_to_validate_is_refused(refused, monkeypatch):
    monkeypatch.setattr(others, "read_public", lambda *_: [])
    refused("no table of gemm", "validate", "--system", "l40s", "--op", "gemm", "-o", "v")
