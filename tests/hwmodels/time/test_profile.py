"""A profile's files are refused by name and line."""

import pytest

from tierlab.hwmodels.time.profile import load_profile
from tierlab.kernels.base.errors import BadInput

FILES = {
    "dense.csv": "layer,tokens,time_us\no_proj,1,90\no_proj,2,91\n",
    "per_sequence.csv": "layer,sequences,time_us\nlm_head,1,50\nlm_head,2,51\n",
    "attention.csv": "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n"
    + "".join(
        f"{a},{b},{c},{d},9\n" for a in (0, 8) for b in (0, 8) for c in (0, 8) for d in (0, 8)
    ),
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_profile_stands_one_layer_for_all(folder):
    profile = load_profile(folder, 10, "time.model")
    assert profile.dense.at(1.0) == pytest.approx(10 * 90e-6)
    assert profile.head.at(2.0) == pytest.approx(51e-6)
    assert profile.attention.at(8.0, 8.0, 8.0, 8.0)[0] == pytest.approx(10 * 9e-6)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("dense.csv", b"layer,tokens,time_us\no_proj,1,fast\n", "dense.csv:2: time_us = 'fast'"),
        ("per_sequence.csv", b"layer,sequences,time_us\nlm_head,1,0\n", "per_sequence.csv:2"),
        ("attention.csv", b"prefill_chunk,time_us\n0,1\n", "attention.csv:1: no column"),
        ("dense.csv", b"layer,tokens,time_us\n", "dense.csv: no rows"),
        ("dense.csv", b"\xff\xfe\x00", "not UTF-8 text"),
    ],
)
def test_a_wrong_file_is_named(folder, name, text, says):
    (folder / name).write_bytes(text)
    with pytest.raises(BadInput, match=says):
        load_profile(folder, 10, "time.model")
