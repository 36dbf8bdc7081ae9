"""Attention of batches whose lengths differ, from a profile's skew.csv."""

import numpy as np
import pytest

from tierlab.hwmodels.time.ragged import load_ragged
from tierlab.kernels.base.errors import BadInput

HEAD = "regime,n,nb,ratio,skew,pc,kp,kvs,kv_big,kv_mean,t_mean_us,t_max_us,t_skew_us,alpha\n"


def write(tmp_path, *rows):
    """Write rows of (pc, n, kv_mean, kv_big, t_mean_us, t_skew_us)."""
    text = HEAD
    for pc, n, mean, big, even, ragged in rows:
        text += f"pure,{n},1,0.1,4,{pc},0,1,{big},{mean},{even},0,{ragged},0\n"
    path = tmp_path / "skew.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_cell_is_the_ratio_of_sums(tmp_path):
    path = write(
        tmp_path,
        (0, 16, 1024, 2048, 10, 11),
        (0, 16, 1024, 2048, 30, 39),
        (0, 32, 1024, 2048, 1, 3),
    )
    grid = load_ragged(path, "test")
    assert grid.at(0, 16, 1024, 1.0)[0] == pytest.approx(50 / 40)
    assert grid.at(0, 32, 1024, 1.0)[0] == pytest.approx(3.0)
    assert grid.at(0, 24, 1024, 1.0)[0] == pytest.approx((50 / 40 + 3.0) / 2)


def test_an_even_batch_takes_what_the_mean_takes(tmp_path):
    grid = load_ragged(write(tmp_path, (0, 16, 1024, 2048, 10, 12)), "test")
    for keys in (1, 128, 1000, 1e6):
        assert grid.at(0, 16, keys, 0.0)[0] == 1.0


def test_what_was_not_measured_is_as_the_nearest(tmp_path):
    """Other lengths take the nearest length's; a larger excess takes the largest measured."""
    grid = load_ragged(write(tmp_path, (0, 16, 1024, 2048, 10, 12)), "test")
    assert grid.at(0, 16, 8192, 1.0)[0] == pytest.approx(1.2)
    assert grid.at(0, 16, 128, 8.0)[0] == pytest.approx(1.2)
    assert not np.isnan(grid.seconds).any()


@pytest.mark.shared
def test_the_rtx_4090_is_slowest_beside_the_mean_at_32_decodes(shared_dir):
    """Medians of its points of 400 to 3,000 keys, 2 to 4 times beyond: 1.16, 1.33, 1.17, 1.09."""
    grid = load_ragged(shared_dir / "measured/vllm_rtx4090/skew.csv", "test")
    found = [grid.at(0, n, 1024, 4.0)[0] for n in (8, 32, 64, 128, 256)]
    assert found[1] == max(found)
    assert 1.25 < found[1] < 1.45
    assert found[1] > found[2] > found[3] > found[4] > 1.0


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("n,pc\n1,2\n", "no column"),
        (HEAD, "no rows"),
        (HEAD + "pure,16,1,0.1,4,0,0,1,2048,1024,0,0,11,0\n", "t_mean_us"),
        (HEAD + "pure,16,1,0.1,4,0,0,1,x,1024,10,0,11,0\n", "kv_big"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, what):
    path = tmp_path / "skew.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=what):
        load_ragged(path, "test")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        load_ragged(tmp_path / "skew.csv", "test")
