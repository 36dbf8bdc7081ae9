"""Measured times in a system: where they go, and names that lead nowhere."""

import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.transfers.machine import Asked, with_transfers
from tierlab.kernels.base.errors import BadInput


def put(files, name="h200-tiered", depths=None, band="mid"):
    files = {key: (str(path),) for key, path in files.items()}
    asked = Asked(files, depths or {}, band, "hardware.transfers")
    return with_transfers(load_system(name), asked)


def test_a_file_goes_to_all_that_it_measured(transfers, rows):
    made = put({"": transfers("d.json", rows.drive())})
    assert set(made.measured) == {"ssd0", "ssd1"}
    both = put({"": transfers("m.json", rows.drive() + rows.gpu(), "NVIDIA H200")})
    assert set(both.measured) == {"ssd0", "ssd1", "gpu0"}


def test_the_narrower_name_wins(transfers, rows):
    slow = transfers("slow.json", rows.drive(bytes_per_s=1e9))
    fast = transfers("fast.json", rows.drive(bytes_per_s=9e9))
    made = put({"ssd": slow, "ssd1": fast})
    assert made.nodes["ssd0"].read_bytes_per_s == pytest.approx(1e9, rel=0.02)
    assert made.nodes["ssd1"].read_bytes_per_s == pytest.approx(9e9, rel=0.02)


def test_measured_figures_stand_in_the_place_of_typed_ones_with_their_source(transfers, rows):
    made = put({"ssd": transfers("d.json", rows.drive(ops=("read",)))})
    typed, sources = load_system("h200-tiered").sources(), made.sources()
    for key in ("read_bandwidth", "read_latency", "random_read"):
        assert sources[f"ssd.{key}"].source.startswith("measured 2026-11-21 on a CPU")
    assert sources["ssd.read_bandwidth"].unit == "B/s"
    assert sources["ssd.read_bandwidth"].value_si == pytest.approx(4e9, rel=0.02)
    assert sources["ssd.write_bandwidth"] == typed["ssd.write_bandwidth"]
    assert sources["gpu.memory"] == typed["gpu.memory"]


def test_a_drive_is_not_held_back_by_its_typed_link(transfers, rows):
    made = put({"": transfers("d.json", rows.drive(bytes_per_s=30e9))})
    (edge,) = made.path("host0", "ssd0")
    assert edge.link.up_bytes_per_s >= made.nodes["ssd0"].read_bytes_per_s > 25e9


def test_a_gpus_link_reaches_what_its_copies_did(transfers, rows):
    both = rows.copy("both", "loop", 2**20, 128, 128 * 2**20 / 60e9)
    made = put({"": transfers("g.json", [*rows.gpu(), both], "H200")})
    (edge,) = made.path("host0", "gpu0")
    assert edge.link.down_bytes_per_s == pytest.approx(40e9)
    assert edge.link.both_bytes_per_s == pytest.approx(60e9)
    assert edge.link.latency_s == pytest.approx(10e-6)
    assert "link pcie5-x16 of gpu0.down" in made.sources()


def test_copies_of_another_gpu_are_refused(transfers, rows):
    with pytest.raises(BadInput, match="copies of 'A100-80G', not of 'H200'"):
        put({"": transfers("g.json", rows.gpu(), "A100-80G")})


def test_copies_faster_than_their_link_are_refused(transfers, rows):
    with pytest.raises(BadInput, match=r"copies at .* over pcie5-x16.* of 63.0\d GB/s"):
        put({"gpu": transfers("g.json", rows.gpu(bytes_per_s=200e9), "H200")})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ssd7", "'ssd7' is no drive and no GPU of h200-tiered; accepted: did you mean ssd"),
        ("cxl", "'cxl' is no drive and no GPU"),
        ("host0", "'host0' is no drive and no GPU"),
        ("gpu", "holds no transfers of gpu; accepted: a file of 'tierlab calibrate"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(transfers, rows, name, said):
    with pytest.raises(BadInput, match=said):
        put({name: transfers("d.json", rows.drive())})


def test_a_file_for_nothing_is_refused(transfers, rows):
    with pytest.raises(BadInput, match="is of drives, and H200 has none"):
        put({"": transfers("d.json", rows.drive())}, "H200")


def test_two_files_for_one_node_are_refused(transfers, rows):
    one, two = (str(transfers(name, rows.drive())) for name in ("a.json", "b.json"))
    asked = Asked({"": (one, two)}, {}, "mid", "hardware.transfers")
    with pytest.raises(BadInput, match=r"a.json and .*b.json both hold times of ssd0"):
        with_transfers(load_system("h200-tiered"), asked)
