"""Drives and GPU copies from rows of a machine whose rule is known."""

import pytest

from tierlab.hwmodels.transfers.file import read_transfers
from tierlab.hwmodels.transfers.way import copy_way, drive_way

KIB = 1024


@pytest.fixture
def drive(transfers, rows):
    """A drive of 80 us and 4 GB/s, at most `depth` pieces in flight."""
    found = read_transfers(transfers("d.json", rows.drive()), "test")
    return lambda depth=None, band="mid": drive_way("read", "", found.drive["read"], depth, band)


@pytest.mark.parametrize("size", [4 * KIB, 24 * KIB, 300 * KIB, 4096 * KIB])
@pytest.mark.parametrize(("pieces", "depth"), [(1, None), (3, None), (1000, None), (1000, 8)])
def test_a_drive_keeps_so_many_pieces_in_flight(drive, size, pieces, depth):
    flight = min(pieces, depth or 32)
    made = drive(depth)
    told = pieces * (80e-6 / flight + size / 4e9)
    best = made.latency_s + pieces * size / made.bytes_per_s
    assert best < 1.01 * told
    told = max(told, best)
    assert made.at(pieces * size, pieces).seconds == pytest.approx(told, rel=1e-9)
    assert made.latency_s + made.flow_s(pieces * size, pieces) == pytest.approx(told, rel=1e-9)
    assert made.flow_s(pieces * size, pieces) >= pieces * size / made.bytes_per_s * (1 - 1e-12)


def test_a_drive_reads_whole_pages(drive):
    assert drive().at(100.0, 1).seconds == drive().at(4096.0, 1).seconds
    five, eight = (drive().at(100 * size, 100).seconds for size in (5000.0, 8192.0))
    assert five == eight > drive().at(100 * 4096.0, 100).seconds


def test_a_drives_latency_is_what_bandwidth_does_not_explain(drive):
    made = drive()
    assert made.latency_s == pytest.approx(80e-6, rel=0.02)
    assert made.bytes_per_s == pytest.approx(4e9, rel=0.02)


def test_the_end_of_the_band_that_is_asked_for_is_given(transfers, rows):
    spread = [
        row | {"seconds_p10": row["seconds"] / 2, "seconds_p90": row["seconds"] * 3}
        for row in rows.drive()
    ]
    found = read_transfers(transfers("d.json", spread), "test").drive["read"]
    nbytes, pieces = 64.0 * 65536, 64.0
    low, mid, high = (
        way.latency_s + way.flow_s(nbytes, pieces)
        for way in (drive_way("read", "", found, None, band) for band in ("p10", "mid", "p90"))
    )
    assert high / mid == pytest.approx(3)
    assert low / mid == pytest.approx(1 / 2, rel=0.05)


@pytest.mark.parametrize(("how", "cost"), [("loop", 5e-6), ("batched", 0.5e-6), ("kernel", 0.1e-6)])
@pytest.mark.parametrize("pieces", [1, 10, 5000])
@pytest.mark.parametrize("size", [4 * KIB, 16 * KIB, 1024 * KIB, 65536 * KIB])
def test_copies_cost_a_latency_and_so_much_a_piece(transfers, rows, how, cost, pieces, size):
    found = read_transfers(transfers("g.json", rows.gpu(), "H200"), "test")
    way = copy_way("in", how, found.copies["in", how], None, "mid")
    told = 10e-6 + pieces * max(cost, size / 40e9)
    assert way.at(size * pieces, pieces).seconds == pytest.approx(told, rel=1e-6)
    assert way.latency_s == pytest.approx(10e-6, rel=1e-6)
    assert way.bytes_per_s == pytest.approx(40e9, rel=1e-6)


def test_without_a_single_piece_the_latency_is_the_links(transfers, rows):
    many = [row for row in rows.gpu() if row["pieces"] > 1]
    found = read_transfers(transfers("g.json", many, "H200"), "test").copies["in", "loop"]
    assert copy_way("in", "loop", found, 2e-6, "mid").latency_s == 2e-6
