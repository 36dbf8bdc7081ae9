"""Reading measured transfers: what is taken, and what is refused in one line."""

import json

import pytest

from tierlab.hwmodels.transfers.file import read_transfers
from tierlab.kernels.base.errors import BadInput


def test_rows_are_sorted_by_way(transfers, rows):
    both = rows.copy("both", "loop", 2**20, 128, 128 * 2**20 / 60e9)
    streams = rows.copy("in", "loop", 2**20, 64, 64 * 2**20 / 45e9, streams=2)
    busy = rows.copy("in", "loop", 2**20, 64, 1.0, load="gemm")
    pageable = rows.copy("in", "loop", 2**20, 64, 1.0, host_memory="pageable")
    memory = {"op": "copy", "src": "dram", "dst": "dram", "bytes": 8, "seconds": 1.0}
    made = [*rows.gpu(), both, streams, busy, pageable, memory, *rows.drive(ops=("read", "mixed"))]
    found = read_transfers(transfers("m.json", made, "H200"), "test")
    assert set(found.drive) == {"read", "mixed"}
    assert set(found.copies) == {
        (w, h) for w in ("in", "out") for h in ("loop", "batched", "kernel")
    }
    assert all(len(found.copies[key]) == 9 for key in found.copies)
    assert found.links["in"] == pytest.approx(45e9)
    assert found.links["both"] == pytest.approx(60e9)
    assert (found.io, found.device, found.date) == ("io_uring", "H200", "2026-11-21")
    assert "m.json" in found.source


def test_a_file_without_transfers_is_refused(transfers):
    kernel = {"op": "gemm", "m": 1, "n": 1, "k": 1, "seconds": 1.0}
    with pytest.raises(BadInput, match=r"holds no transfers.*calibrate --device"):
        read_transfers(transfers("k.json", [kernel]), "test")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seconds": -1.0}, "seconds is -1.0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds_p10": float("nan")}, "seconds_p10 is nan"),
        ({"seconds_p90": 1e-9}, "between p10"),
        ({"seconds": 1e-12, "seconds_p10": 1e-12}, r"B/s"),
        ({"bytes": 5}, "bytes is 5, not 256 pieces of 4096"),
        ({"pieces": 0}, "pieces is 0"),
        ({"piece_bytes": "4 KiB"}, "piece_bytes is '4 KiB'"),
        ({"queue_depth": None}, "queue_depth is None"),
    ],
)
def test_a_row_that_is_no_copy_is_refused_with_its_number(transfers, rows, change, said):
    made = rows.drive()
    made[0] |= change
    with pytest.raises(BadInput, match=rf"row 1.*{said}"):
        read_transfers(transfers("bad.json", made), "test")


def test_an_unknown_mechanism_is_refused(transfers, rows):
    made = [rows.copy("in", "dma", 4096, 2, 1e-5)]
    with pytest.raises(BadInput, match="mechanism is 'dma'; accepted: loop, batched, kernel"):
        read_transfers(transfers("bad.json", made), "test")


@pytest.mark.parametrize("key", ["device", "date", "command"])
def test_a_file_that_does_not_say_where_it_comes_from_is_refused(transfers, rows, key):
    path = transfers("m.json", rows.drive())
    data = json.loads(path.read_text())
    del data["provenance"][key]
    path.write_text(json.dumps(data))
    with pytest.raises(BadInput, match=f"provenance has no {key}"):
        read_transfers(path, "test")
