"""Copies over measured ways: their times, what they share, and what nobody measured."""

import pytest

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.transfers.machine import Asked, with_transfers
from tierlab.kernels.base.errors import BadInput

KIB, GB = 1024.0, 1e9
LATENCY_S, RATE = 80e-6, 4e9


def rows(op, src, dst, mixed_rate=None):
    """A drive of 80 us, hidden behind depth, and 4 GB/s."""
    for depth in (1, 4, 32):
        for size in (2**12, 2**16, 2**20, 2**22):
            seconds = 256 * (LATENCY_S / depth + size / (mixed_rate or RATE))
            yield {
                "op": op,
                "src": src,
                "dst": dst,
                "mechanism": "io_uring",
                "bytes": size * 256,
                "piece_bytes": size,
                "pieces": 256,
                "queue_depth": depth,
                "load": "idle",
                "seconds": seconds,
            }


READS = list(rows("read", "file", "dram"))
WRITES = list(rows("write", "dram", "file"))
MIXED = list(rows("mixed", "file and dram", "dram and file", 4.5e9))


@pytest.fixture
def measured(transfers, network):
    def make(made, device="a CPU", **options):
        asked = Asked({"": (str(transfers("m.json", made, device)),)}, {}, "mid", "test")
        return network(with_transfers(load_system("h200-tiered"), asked), **options)

    return make


def copies(how="batched", piece_s=2e-6, rate=40e9, way=("host", "gpu"), first_s=12e-6):
    def row(size, pieces):
        return {
            "op": "copy",
            "src": way[0],
            "dst": way[1],
            "mechanism": how,
            "host_memory": "pinned",
            "bytes": size * pieces,
            "piece_bytes": size,
            "pieces": pieces,
            "streams": 1,
            "load": "idle",
            "seconds": first_s + pieces * max(piece_s, size / rate),
        }

    return [row(4096, 1), *(row(s, 512) for s in (4096, 65536, 2**20, 2**24))]


def run(net, *args, **kwargs):
    transfer = net.submit(*args, cause="hit", **kwargs)
    net.env.run()
    return transfer.end_s - transfer.start_s


@pytest.mark.parametrize(("pieces", "flight"), [(1, 1), (4, 4), (16, 16), (500, 32)])
@pytest.mark.parametrize("size", [4 * KIB, 32 * KIB, 2048 * KIB])
def test_a_read_takes_what_was_measured(measured, size, pieces, flight):
    net = measured(READS)
    told = pieces * (LATENCY_S / flight + size / RATE)
    estimate = net.estimate("ssd0", "host0", pieces * size, pieces=pieces)
    assert run(net, "ssd0", "host0", pieces * size, pieces=pieces) == pytest.approx(told, rel=5e-3)
    assert estimate == pytest.approx(told, rel=5e-3)
    net.check()


def test_a_measured_drive_feeds_a_typed_link(measured, network):
    """The link to the GPU is faster; its latency comes on top of the drive's."""
    net, pieces = measured(READS), 200
    nbytes = pieces * 64 * KIB
    drive_s = run(net, "ssd0", "host0", nbytes, pieces=pieces)
    (edge,) = net.system.path("host0", "gpu0")
    assert run(measured(READS), "ssd0", "gpu0", nbytes, pieces=pieces) == pytest.approx(
        drive_s + edge.link.latency_s, rel=1e-9
    )
    route = net.route("ssd0", "gpu0")
    assert (route.known, net.route("ssd0", "host0").known) == ("partly", "measured")
    assert net.route("cxl0", "gpu0").known == "datasheet"
    assert network("h200-tiered").route("ssd0", "gpu0").known == "datasheet"


def test_copies_to_a_gpu_take_what_was_measured(measured):
    net = measured(copies() + copies("loop", 6e-6), "H200")
    for how, cost in (("batched", 2e-6), ("loop", 6e-6)):
        for size in (4 * KIB, 256 * KIB, 4096 * KIB):
            told = 12e-6 + 100 * max(cost, size / 40e9)
            alone = net.estimate("host0", "gpu0", 100 * size, pieces=100, mechanism=how)
            if size != 256 * KIB:  # there the knee lies between two measured sizes
                assert alone == pytest.approx(told, rel=1e-6)
            assert told <= alone * (1 + 1e-9) <= 1.7 * told


def test_what_nobody_measured_is_refused(measured):
    with pytest.raises(BadInput, match="no rows of a drive's writes"):
        measured(READS).route("host0", "ssd0")
    net = measured(copies(), "H200")
    with pytest.raises(BadInput, match=r"no rows of copies from host to GPU \(in by loop\)"):
        net.route("host0", "gpu0", "loop")
    with pytest.raises(BadInput, match="no rows of copies from GPU to host"):
        net.route("gpu0", "cxl0")


def test_reads_and_writes_together_reach_what_the_mixture_did(measured):
    net, nbytes = measured(READS + WRITES + MIXED), 4e9
    pieces = nbytes / 2**22
    for ends in (("ssd0", "host0"), ("host0", "ssd0")):
        net.submit(*ends, nbytes, pieces=pieces, cause="prefetch")
    net.env.run()
    mixed = max(row["bytes"] / row["seconds"] for row in MIXED)
    assert 2 * nbytes / net.env.now == pytest.approx(mixed, rel=0.01)
    alone = measured(READS + WRITES)
    for ends in (("ssd0", "host0"), ("host0", "ssd0")):
        alone.submit(*ends, nbytes, pieces=pieces, cause="prefetch")
    alone.env.run()
    assert alone.env.now < 0.6 * net.env.now
    net.check()


def test_two_streams_share_a_measured_link_evenly(measured):
    net = measured(copies(), "H200")
    for stream in ("a", "b"):
        net.submit("host0", "gpu0", 4e9, pieces=1000, cause="hit", stream=stream)
    net.env.run()
    assert net.env.now == pytest.approx(12e-6 + 8e9 / 40e9, rel=1e-3)
    net.check()
