import os

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.measure.journal import Journal, journal_of

ME = {"device": "this", "points": "abc"}


@pytest.fixture
def path(tmp_path):
    return journal_of(tmp_path / "out.json")


def kept(path, *keys: str) -> None:
    journal = Journal(path, ME)
    for key in keys:
        journal.add(0, key, [1.0, 2.0])
    journal.close()


def test_it_is_read_again(path) -> None:
    kept(path, "a", "b")
    again = Journal(path, ME)
    assert again.done == {(0, "a"): [1.0, 2.0], (0, "b"): [1.0, 2.0]}
    again.add(1, "a", [3.0])
    again.close()
    assert len(Journal(path, ME).done) == 3


def test_a_line_that_was_cut_is_dropped_and_written_over(path) -> None:
    kept(path, "a")
    with path.open("a") as file:
        file.write('{"round":0,"key":"b","seco')
    again = Journal(path, ME)
    assert set(again.done) == {(0, "a")}
    again.add(0, "c", [4.0])
    again.close()
    assert set(Journal(path, ME).done) == {(0, "a"), (0, "c")}


def test_one_without_measurements_is_removed(path) -> None:
    Journal(path, ME, reserve_bytes=4096).close()
    assert not path.exists()


def test_another_run_s_journal_is_refused_and_kept(path) -> None:
    kept(path, "a")
    with pytest.raises(BadInput, match="other device"):
        Journal(path, ME | {"device": "that"})
    assert set(Journal(path, ME).done) == {(0, "a")}


def test_what_is_no_journal_is_refused_and_kept(path) -> None:
    path.write_text("my notes\nof yesterday\n")
    with pytest.raises(BadInput, match="unreadable"):
        Journal(path, ME)
    assert path.read_text().startswith("my notes")


def test_two_runs_do_not_share_one(path) -> None:
    first = Journal(path, ME)
    with pytest.raises(BadInput, match="another run writes"):
        Journal(path, ME)
    first.add(0, "a", [1.0])
    first.close()
    assert path.exists()


def test_a_write_that_fails_leaves_what_was_kept(path, monkeypatch) -> None:
    journal = Journal(path, ME)
    journal.add(0, "a", [1.0])
    whole = path.read_bytes()

    def full(fd: int, data: bytes, at: int) -> int:
        os.ftruncate(fd, at + 3)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(BadInput, match="No space left"):
        journal.add(0, "b", [1.0])
    monkeypatch.undo()
    journal.close()
    assert path.read_bytes() == whole


def test_it_is_gone_when_the_output_stands(path) -> None:
    journal = Journal(path, ME)
    journal.add(0, "a", [1.0])
    journal.remove()
    assert not path.exists()
