"""What is no page of results is refused in one line, and nothing is written."""

import json
import shutil

import pytest


@pytest.fixture
def copy(runs, tmp_path):
    return shutil.copytree(runs[1], tmp_path / "copy")


def refused(cli, tmp_path, *folders, page="page.html"):
    before = sorted(tmp_path.iterdir())
    status, out, err = cli("report", *folders, "-o", page)
    assert (status, out) == (2, "")
    assert err.startswith("tierlab: error: ")
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
    return err


def test_no_folder(cli, tmp_path):
    assert "no folder nowhere" in refused(cli, tmp_path, "nowhere")
    (tmp_path / "file").write_text("x")
    assert "file is a file" in refused(cli, tmp_path, "file")


def test_a_folder_that_is_no_run(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no finished run" in refused(cli, tmp_path, "empty")


def test_an_unfinished_sweep_says_how_to_end_it(cli, tmp_path, swept):
    begun = shutil.copytree(swept, tmp_path / "begun")
    (begun / "manifest.json").unlink()
    assert "--resume" in refused(cli, tmp_path, "begun")


@pytest.mark.parametrize(
    "name", ["summary.json", "requests.parquet", "steps.parquet", "tiers.parquet", "manifest.json"]
)
def test_a_run_half_written(cli, tmp_path, copy, name):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    assert "copy" in refused(cli, tmp_path, "copy")


@pytest.mark.parametrize("name", ["summary.json", "requests.parquet", "steps.parquet"])
def test_a_run_with_a_file_gone(cli, tmp_path, copy, name):
    (copy / name).unlink()
    assert "copy" in refused(cli, tmp_path, "copy")


@pytest.mark.parametrize("key", ["scenario", "resolved", "inputs"])
def test_a_manifest_whose_table_is_none(cli, tmp_path, copy, key):
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: 5}))
    assert f"no table {key}" in refused(cli, tmp_path, "copy")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points.parquet", "x"),
        ("manifest.json", "[]"),
        ("choice.json", "[]"),
        ("choice.json", '{"objectives": [{"name": 3}], "where": []}'),
        ("choice.json", '{"objectives": [], "where": ["?"]}'),
    ],
)
def test_a_damaged_sweep(cli, tmp_path, swept, name, text):
    folder = shutil.copytree(swept, tmp_path / "damaged")
    (folder / name).write_text(text)
    refused(cli, tmp_path, "damaged")


@pytest.mark.parametrize("key", ["tokens", "links", "ttft_s"])
def test_a_summary_without_a_key(cli, tmp_path, copy, key):
    path = copy / "summary.json"
    told = json.loads(path.read_text())
    del told[key]
    path.write_text(json.dumps(told))
    assert f"{key} is missing" in refused(cli, tmp_path, "copy")


def test_several_versions(cli, tmp_path, runs, copy):
    path = copy / "manifest.json"
    told = json.loads(path.read_text()) | {"tierlab": "0.0.9"}
    path.write_text(json.dumps(told))
    err = refused(cli, tmp_path, runs[0], "copy")
    assert "written by tierlab 0.0.9" in err


def test_one_folder_twice_and_too_many(cli, tmp_path, runs):
    assert "named twice" in refused(cli, tmp_path, runs[0], runs[0])
    many = [shutil.copytree(runs[0], tmp_path / f"run{i}") for i in range(13)]
    assert "13 runs side by side" in refused(cli, tmp_path, *many)


def test_a_place_that_is_no_page(cli, tmp_path, runs):
    assert "ends in .html" in refused(cli, tmp_path, runs[0], page="page.txt")
    assert "cannot write" in refused(cli, tmp_path, runs[0], page="gone/page.html")
