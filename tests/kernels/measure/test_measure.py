"""A whole run: its file, what is left when it stops, and what stops it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.measure import provenance
from tierlab.kernels.measure.measure import Interrupted, Request, measure
from tierlab.kernels.measure.output import columns, load, write_arrays
from tierlab.kernels.measure.plan import BUDGETS, choose, kind_of, parts_of


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def request(folder: Path, **changed) -> Request:
    return Request("cpu", folder / "out.json", **changed)


def test_the_file_says_what_was_found_and_where(plan, tmp_path) -> None:
    measure(request(tmp_path, name="my-cpu"))
    head, rows = load(tmp_path / "out.json", "OUT")
    assert [r["seconds"] for r in rows] == [0.001, 0.002, 0.003, 0.004, 0.005]
    assert {r["rounds"] for r in rows} == {3}
    assert head["device"] == "my-cpu"
    for key in ("device_says", "cores", "memory_bytes", "date", "began", "ended", "command"):
        assert head[key]
    assert head["versions"]["numpy"] == np.__version__
    assert head["load_average_at_begin"] >= 0
    assert files(tmp_path) == ["out.json"]


def test_an_interrupted_run_goes_on_and_gives_the_same_rows(plan, tmp_path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    plan.at = {8: interrupt}
    with pytest.raises(Interrupted, match=r"7 measurements are kept in .*out\.json\.journal"):
        measure(request(tmp_path))
    assert files(tmp_path) == ["out.json.journal"]
    told = []
    plan.asked, plan.at = 0, {}
    measure(request(tmp_path), tell=told.append)
    assert plan.asked == 15 - 7
    assert "goes on after 7 measurements" in told[-1]
    head, rows = load(tmp_path / "out.json", "OUT")
    assert head["resumed_measurements"] == 7
    measure(Request("cpu", tmp_path / "again.json"))
    assert rows == load(tmp_path / "again.json", "OUT")[1]
    assert files(tmp_path) == ["again.json", "out.json"]


def test_stopped_before_anything_was_measured_it_leaves_nothing(plan, tmp_path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    plan.at = {1: interrupt}
    with pytest.raises(Interrupted, match="nothing is left behind"):
        measure(request(tmp_path))
    assert files(tmp_path) == []


@pytest.mark.parametrize(("load", "said"), [(0.0, 0), (99.0, 1)])
def test_a_busy_machine_is_told(plan, tmp_path, monkeypatch, load: float, said: int) -> None:
    monkeypatch.setattr(provenance, "load_average", lambda: load)
    told = []
    measure(request(tmp_path), tell=told.append)
    assert sum("other programs are running (load average 99.0" in line for line in told) == said


def test_another_plan_does_not_go_on_with_it(plan, tmp_path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    plan.at = {3: interrupt}
    with pytest.raises(Interrupted):
        measure(request(tmp_path))
    plan.count, plan.at = 6, {}
    with pytest.raises(BadInput, match="of another run .other points"):
        measure(request(tmp_path))


def test_a_failure_keeps_what_was_measured_and_the_earlier_file(plan, tmp_path) -> None:
    def lost() -> None:
        raise BadInput("--device", "cuda:0 failed: GPU is lost")

    measure(request(tmp_path))
    before = (tmp_path / "out.json").read_bytes()
    told = []
    plan.asked, plan.at = 0, {4: lost}
    with pytest.raises(BadInput, match="GPU is lost"):
        measure(request(tmp_path), tell=told.append)
    assert "3 measurements are kept" in told[-1]
    assert (tmp_path / "out.json").read_bytes() == before
    assert files(tmp_path) == ["out.json", "out.json.journal"]


def test_a_read_only_folder(plan, mounted) -> None:
    place = mounted("ro,size=1m", lambda p: (p / "out.json").write_text("earlier"))
    with pytest.raises(BadInput, match="Read-only file system"):
        measure(request(place))
    assert plan.asked == 0
    assert files(place) == ["out.json"]


def test_a_folder_without_space_is_refused_at_once(plan, mounted) -> None:
    place = mounted("size=16k")
    (place / "out.json").write_bytes(b"x" * 8000)
    with pytest.raises(BadInput, match="No space left"):
        measure(request(place))
    assert plan.asked == 0
    assert files(place) == ["out.json"]
    assert (place / "out.json").read_bytes() == b"x" * 8000


@pytest.mark.parametrize("at", [4, 15])
def test_space_that_runs_out_on_the_way(plan, mounted, at: int) -> None:
    place = mounted("size=64k")
    (place / "out.json").write_text("earlier")

    def fill() -> None:
        with (place / "filler").open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    plan.count, plan.at = 5, {at: fill}
    plan.name = "memory" * 300  # journal lines stay within a page, the output does not
    told = []
    with pytest.raises(BadInput, match="No space left"):
        _grown(plan, place, told)
    assert "measurements are kept" in told[-1]
    assert files(place) == ["filler", "out.json", "out.json.journal"]
    assert (place / "out.json").read_text() == "earlier"
    (place / "filler").unlink()
    before = plan.asked
    plan.at = {}
    measure(request(place))
    assert plan.asked - before < 15
    assert files(place) == ["out.json"]


def _grown(plan, place: Path, told: list[str]) -> None:
    """Measure with samples so many that each takes a page of the journal."""
    plain = plan._measure

    def many(point, until):
        return plain(point, until) * 200

    plan._measure = many
    try:
        measure(request(place), tell=told.append)
    finally:
        plan._measure = plain


@pytest.mark.parametrize(
    ("output", "said"),
    [("out.csv", "FILE.json"), ("none/out.json", "a folder that exists"), (".", "FILE.json")],
)
def test_outputs_that_cannot_be(plan, tmp_path, output: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        measure(Request("cpu", tmp_path / output))


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:", "cpu:1", ""])
def test_devices_that_are_none(tmp_path, device: str) -> None:
    with pytest.raises(BadInput, match="cpu, or cuda:0"):
        measure(Request(device, tmp_path / "out.json"))


def test_names_of_devices() -> None:
    assert kind_of("CPU") == ("cpu", 0)
    assert kind_of("cuda") == ("cuda", 0)
    assert kind_of("cuda:12") == ("cuda", 12)


def test_parts_are_chosen_by_name(tmp_path) -> None:
    parts = parts_of("cpu", True, tmp_path, "-o")
    names = lambda *how: [p.name for p in choose(parts, *how)]  # noqa: E731
    assert names((), ()) == ["memory", "files", "kernels"]
    assert names(("KERNELS", "memory"), ()) == ["memory", "kernels"]
    assert names((), ("files",)) == ["memory", "kernels"]
    with pytest.raises(BadInput, match="did you mean files"):
        names(("file",), ())
    with pytest.raises(BadInput, match="nothing is left"):
        names(("files",), ("files",))


@pytest.mark.parametrize("quick", [True, False])
def test_plans_tell_every_point_apart_the_same_each_time(tmp_path, quick: bool) -> None:
    first, second = (
        [point.key for part in parts_of("cpu", quick, tmp_path, "-o") for point in part.points()]
        for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == len(first)
    assert len(first) <= (50 if quick else 300)


def test_limits_leave_time_for_setting_up() -> None:
    for (kind, quick), budget in BUDGETS.items():
        limit = 30 if quick else {"cpu": 300, "cuda": 480}[kind]
        assert budget.total_s <= 0.85 * limit


def test_arrays_hold_the_rows(plan, tmp_path) -> None:
    rows = measure(request(tmp_path)).rows
    write_arrays(tmp_path / "out.npz", [*rows, {"op": "gemm", "m": 3, "seconds": 1.0}])
    with np.load(tmp_path / "out.npz") as found:
        assert found["op"].tolist() == ["copy"] * 5 + ["gemm"]
        assert found["src"].tolist() == ["dram"] * 5 + [""]
        np.testing.assert_array_equal(found["m"], [np.nan] * 5 + [3.0])
        assert set(found.files) == set(columns([*rows, {"m": 3}]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(format="other"), "no file of measurements"),
        (lambda d: d.update(rows=[]), "no rows"),
        (lambda d: d["rows"][2].update(seconds=-1.0), "row 3: seconds is -1.0"),
        (lambda d: d["rows"][1].pop("op"), "row 2: has no operation"),
        (lambda d: d["rows"][0].update(seconds=True), "row 1: seconds is True"),
    ],
)
def test_files_that_are_broken(plan, tmp_path, change, said: str) -> None:
    measure(request(tmp_path))
    data = json.loads((tmp_path / "out.json").read_text())
    change(data)
    (tmp_path / "out.json").write_text(json.dumps(data))
    with pytest.raises(BadInput, match=said):
        load(tmp_path / "out.json", "OUT")


def test_what_is_no_json(tmp_path) -> None:
    (tmp_path / "out.json").write_text('{"format":\n "tierlab-')
    with pytest.raises(BadInput, match=r"out.json:2: not JSON"):
        load(tmp_path / "out.json", "OUT")


def test_two_runs_into_one_file(plan, tmp_path) -> None:
    def other() -> None:
        pid = os.fork()
        if pid == 0:
            try:
                measure(request(tmp_path))
            except BadInput as error:
                os._exit(42 if "another run writes" in str(error) else 1)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42

    plan.at = {2: other}
    measure(request(tmp_path))
    assert files(tmp_path) == ["out.json"]
