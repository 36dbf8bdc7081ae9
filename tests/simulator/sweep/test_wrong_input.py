"""Every wrong sweep is refused in one line, with exit status 2, before anything is written."""

import pytest

from tierlab.simulator.cli.main import run_cli

GOOD = {
    "scenario": '{ model = "SmolLM2-135M", hardware = "H200", '
    'workload = { generator = "poisson", parameters = { requests = 2 } } }',
    "vary": "{ seed = [1, 2] }",
}


def written(tmp_path, **changes):
    lines = [f"{key} = {text}" for key, text in (GOOD | changes).items() if text]
    (tmp_path / "s.toml").write_text("\n".join(lines) + "\n")
    return tmp_path / "s.toml"


def refused(cli, *arguments):
    status, out, err = cli(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("tierlab: error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"scenario": ""}, ("key scenario", "is missing")),
        ({"scenario": "3"}, ("key scenario", "3 is no scenario")),
        ({"scenario": '"absent.toml"'}, ("no such file", "absent.toml")),
        ({"base": "3"}, ("unknown key 'base'", "scenario")),
        ({"seed": "-1"}, ("key seed", "-1")),
        ({"title": "3"}, ("key title", "3")),
        ({"zip": "{}"}, ("key zip", "[[zip]]")),
        ({"vary": "3"}, ("key vary", "3 is no table")),
        ({"vary": '{ "engine.blok_size" = [16] }'}, ("unknown key 'blok_size'", "block_size")),
        ({"vary": "{ engin = { block_size = [16] } }"}, ("unknown key 'engin'", "engine")),
        ({"vary": '{ "engine.block_size" = [16, "x"] }'}, ("engine.block_size", "'x'")),
        ({"vary": '{ "engine.block_size" = [16, 0] }'}, ("engine.block_size", "0")),
        ({"vary": '{ "seed.x" = [16, 0] }'}, ("key seed", "16")),
        ({"vary": '{ model = ["nil-1B", "nil-2B"] }'}, ("no point can run", "nil-1B")),
        ({"vary": '{ "plan.context" = [16] }'}, ("key plan.context", "[plan]")),
        ({"plan": "{ contxt = 8 }"}, ("unknown key 'contxt'", "context")),
        ({"plan": "{ batch = 8 }"}, ("plan.context", "is missing")),
        ({"plan": '{ context = "8" }'}, ("plan.context", "'8'")),
        ({"plan": "{ context = 8 }", "choose": "{ max_rate = true }"}, ("plans have no rate",)),
        ({"choose": "{ objectiv = 1 }"}, ("unknown key 'objectiv'", "objective")),
        ({"choose": "{ objective = 1 }"}, ("choose.objective", "1 is no list of text")),
        ({"choose": '{ where = "ttft" }'}, ("choose.where", "'ttft' is not FIGURE<=BOUND")),
        ({"choose": '{ where = "ttft_p99_s<=fast" }'}, ("'fast' is no bound",)),
        ({"choose": "{ max_rate = 1 }"}, ("choose.max_rate", "true or false")),
        ({"choose": "{ max_rate = true, tolerance = 0 }"}, ("tolerance", "0.001 to 1")),
    ],
)
def test_a_wrong_file(cli, tmp_path, changes, parts):
    err = refused(cli, "sweep", written(tmp_path, **changes), "-o", "out")
    assert all(part in err for part in parts), err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--resume"], ("--resume", "-o DIR")),
        (["--jobs", "0"], ("--jobs", "0")),
        (["--jobs", "2", "--ray", "auto"], ("--jobs", "the cluster says")),
        (["--where", "cost"], ("--where", "'cost'")),
        (["--where", "tftt_p99_s<=1"], ("tftt_p99_s", "did you mean")),
        (["--objective", "capacity"], ("capacity", "max_rate")),
        (["--objective", "least:cost"], ("least:cost", "min:")),
        (["--objective", "status"], ("status",)),
        (["-o", "s.toml"], ("-o", "is a file")),
        (["--max-rate"], ("--max-rate", "no service level", "[slo]")),
    ],
)
def test_a_wrong_option(cli, tmp_path, options, parts):
    written(tmp_path)
    status, out, err = cli("sweep", "s.toml", *options)
    assert (status, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("tierlab: error: ")
    assert all(part in last for part in parts), err


def test_a_missing_and_a_broken_file(cli, tmp_path):
    assert "no such file" in refused(cli, "sweep", "absent.toml")
    (tmp_path / "broken.toml").write_text("[vary\n")
    assert "broken.toml:1: broken TOML" in refused(cli, "sweep", "broken.toml")


def test_a_log_that_no_point_can_read(cli, tmp_path):
    base = GOOD["scenario"].replace(
        'generator = "poisson", parameters = { requests = 2 }', 'trace = "log.csv"'
    )
    err = refused(cli, "sweep", written(tmp_path, scenario=base), "-o", "out")
    assert "no point can run" in err
    assert "log.csv" in err


def test_a_folder_with_something_else(cli, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    err = refused(cli, "sweep", written(tmp_path), "-o", "out")
    assert "holds files that are no tierlab sweep" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("state", ["absent", "empty", "unfinished"])
def test_choosing_where_there_is_nothing(cli, tmp_path, state):
    folder = tmp_path / "out"
    if state != "absent":
        folder.mkdir()
    if state == "unfinished":
        (folder / "sweep.json").write_text("{}")
    err = refused(cli, "choose", folder)
    assert ("--resume" in err) == (state == "unfinished")


def test_choosing_by_a_figure_that_no_point_has(cli, tmp_path):
    assert run_cli(["sweep", str(written(tmp_path)), "-o", str(tmp_path / "out"), "--json"]) == 0
    cli("--version")
    assert "did you mean" in refused(cli, "choose", "out", "--objective", "ttft_p99")


def test_a_wrong_objective_stops_the_sweep_at_its_first_point(cli, tmp_path):
    status, _, err = cli("sweep", written(tmp_path), "-o", "out", "--objective", "coast")
    assert status == 2
    assert "did you mean cost" in err
    assert len(list((tmp_path / "out" / "parts").glob("*.parquet"))) == 1
    assert cli("sweep", "s.toml", "-o", "out", "--resume", "--objective", "cost")[0] == 0


def test_a_rate_is_not_sought_in_a_closed_loop(cli, tmp_path):
    base = GOOD["scenario"].replace("generator", 'arrivals = "closed", generator')
    file = written(tmp_path, scenario=base)
    assert "closed loop" in refused(cli, "sweep", file, "--max-rate", "--where", "ttft_p99_s<=1")


@pytest.fixture
def finished(cli, tmp_path):
    status, *_ = cli("sweep", written(tmp_path), "-o", "out", "--json")
    assert status == 0
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points.parquet", "x"),
        ("manifest.json", "[]"),
        ("manifest.json", "{}"),
        ("manifest.json", '{"axes": [], "objective": [1], "where": []}'),
    ],
)
def test_a_damaged_sweep_to_choose_from(cli, finished, name, text):
    (finished / name).write_text(text)
    assert name in refused(cli, "choose", "out")


@pytest.mark.parametrize(("name", "text"), [("points.parquet", "x"), ("sweep.json", "[]")])
def test_a_damaged_sweep_is_not_resumed(cli, tmp_path, finished, name, text):
    (finished / name).write_text(text)
    assert name in refused(cli, "sweep", tmp_path / "s.toml", "-o", "out", "--resume")


def test_a_damaged_part_is_named(cli, tmp_path, finished):
    (finished / "manifest.json").unlink()
    (finished / "parts").mkdir()
    (finished / "parts" / "000000.parquet").write_text("x")
    err = refused(cli, "sweep", tmp_path / "s.toml", "-o", "out", "--resume")
    assert "000000.parquet is damaged" in err
