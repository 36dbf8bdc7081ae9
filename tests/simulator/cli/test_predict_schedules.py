"""`tierlab predict` with rows that name a schedule, as a user runs it."""

import polars as pl
import pytest

from tierlab.hwmodels.time.schedules.registry import DECODE, PREFILL, SCHEDULES, SPATIAL
from tierlab.simulator.cli.main import run_cli

HEAD = "op,batch,q_len,kv_len,heads,kv_heads,head_dim,window,latent_rank,kv_dtype,framework,kernel"
DECODED = "decode_attention,1,,32768,8,8,128,,,,schedule,"
CHUNK = "prefill_attention,1,2048,8192,32,8,128,,,,schedule,"


@pytest.fixture
def predict(tmp_path, monkeypatch, capsys):
    """Return a function that predicts lines of a table in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*lines, hardware="A100-80G", out="out.parquet", expected=0):
        (tmp_path / "in.csv").write_text("\n".join([HEAD, *lines]) + "\n")
        assert run_cli(["predict", "in.csv", "--hardware", hardware, "-o", out]) == expected
        done = capsys.readouterr()
        if expected:
            assert (done.out, done.err.count("\n")) == ("", 1)
            assert not (tmp_path / out).exists()
            return done.err
        return pl.read_parquet(tmp_path / out)

    return run


def test_two_schedules_and_the_fitted_kernel_of_one_call(predict):
    """vLLM 0.14 on A100 takes 0.76 ms without splits, TensorRT-LLM 0.13 ms with them."""
    rows = (DECODED + "unsplit", DECODED + "flash_decoding", DECODED + "lean", DECODED[:-10] + ",")
    found = predict(*rows)
    kernels = found["kernel"].to_list()
    assert kernels[:3] == ["schedule unsplit", "schedule flash_decoding", "schedule lean"]
    assert "vllm 0.14.0" in kernels[3]
    assert found["source"].to_list() == ["datasheet"] * 3 + ["calibrated"]
    unsplit, split, lean, fitted = found["seconds"]
    assert unsplit == pytest.approx(fitted, rel=0.03)
    assert split == pytest.approx(0.13e-3, rel=0.12)
    assert unsplit / lean == pytest.approx(8.41, abs=0.01)
    assert (found["seconds_p10"] <= found["seconds"]).all()
    assert (found["seconds"] <= found["seconds_p90"]).all()
    assert found["extrapolated"].to_list() == [False, False, True, False]


def test_every_schedule_answers(predict):
    rows = [CHUNK + n for n in (*PREFILL, *SPATIAL)] + [DECODED + n for n in DECODE]
    found = predict(*rows, hardware="H100")
    assert [k.split()[1] for k in found["kernel"]] == [*PREFILL, *SPATIAL, *DECODE]
    arrays = [("FuseMax's array" in k) for k in found["kernel"]]
    assert arrays == [name in SPATIAL for name in (*PREFILL, *SPATIAL, *DECODE)]


def test_names_are_found_in_any_case(predict):
    rows = [DECODED.replace("schedule", word) for word in ("schedule", "Schedule")]
    found = predict(rows[0] + "flash_decoding", rows[1] + "Flash-Decoding")
    assert found["seconds"][0] == found["seconds"][1]


def test_the_same_table_has_the_same_answer(predict, tmp_path):
    rows = [DECODED + n for n in DECODE] + [CHUNK + "flash2"]
    for out in ("a.parquet", "b.parquet"):
        predict(*rows, out=out)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


GOOD = DECODED + "lean"
WRONG = {
    "near miss": (DECODED + "leen", "row 2: unknown schedule 'leen'; accepted: did you mean lean?"),
    "no name": (DECODED, "row 2: framework 'schedule' needs a kernel; accepted: materialised, "),
    "no framework": (
        "decode_attention,1,,32768,8,8,128,,,,,lean",
        "row 2: kernel 'lean' is not calibrated; accepted: framework = \"schedule\"",
    ),
    "a prompt": (CHUNK + "lean", "row 2: schedule 'lean' answers decode_attention; accepted: "),
    "a product": (
        "norm,,,,,,,,,,schedule,lean", "row 2: norm without m"
    ),
    "MLA": (
        "decode_attention,1,,900,128,1,576,,512,,schedule,lean",
        "row 2: schedule 'lean' knows no MLA",
    ),
    "four bits": (
        "decode_attention,1,,900,8,8,128,,,int4,schedule,lean",
        "row 2: schedule 'lean' knows no such cache; accepted: kv_dtype bf16, fp16, fp8",
    ),
    "a window": (
        "prefill_attention,1,900,900,8,8,128,64,,,schedule,flash1",
        "row 2: schedule 'flash1' knows no window; accepted: none, or one that holds all keys",
    ),
    "another GPU": (
        CHUNK + "flash3", "row 2: schedule 'flash3' does not exist on A100-80G; accepted: Hopper"
    ),
    "uneven groups": (
        "decode_attention,1,,900,12,8,128,,,,schedule,lean",
        "row 2: schedule 'lean' takes as many heads to each KV head",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_said_is_refused_in_one_line(case, predict):
    line, expected = WRONG[case]
    assert expected in predict(GOOD, line, expected=2)


def test_help_and_docs_list_every_schedule(repository, capsys):
    assert run_cli(["predict", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    page = (repository / "docs" / "predict.md").read_text(encoding="utf-8")
    assert all(name in told and f"`{name}`" in page for name in SCHEDULES)


def test_they_can_be_listed(capsys):
    assert run_cli(["list", "schedules"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == list(SCHEDULES)
    assert all(len(line) > 2 for line in lines)
