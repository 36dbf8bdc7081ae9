"""A file appears whole or not at all, and nothing is left beside it."""

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.whole import write_whole


def test_the_file_gets_its_name_once_it_is_whole(tmp_path):
    target = tmp_path / "t.txt"

    def write(file):
        assert file.parent == tmp_path
        assert not target.exists()
        file.write_text("whole")

    write_whole(target, write, "-o")
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("no")])
def test_what_ends_early_leaves_the_file_before_it(tmp_path, error):
    target = tmp_path / "t.txt"
    target.write_text("before")

    def write(file):
        file.write_text("hal")
        raise error

    with pytest.raises((BadInput, ValueError), match="No space left|no"):
        write_whole(target, write, "-o")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["gone/t.txt", "file/t.txt"])
def test_a_place_that_is_none_is_one_line(tmp_path, name):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match=rf"^-o: cannot write .*{name}: "):
        write_whole(tmp_path / name, lambda file: file.write_text("x"), "-o")
