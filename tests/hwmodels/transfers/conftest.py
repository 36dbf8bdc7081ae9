"""Rows as a drive, or a GPU's link, of known latency, costs and bandwidth would give them."""

import pytest

FILE_ENDS = {"read": ("file", "dram"), "write": ("dram", "file")}


def file_row(op, size, depth, seconds_a_piece, pieces=256, spread=1.0):
    src, dst = FILE_ENDS.get(op, ("file and dram", "dram and file"))
    seconds = seconds_a_piece * pieces
    return {
        "op": op,
        "src": src,
        "dst": dst,
        "mechanism": "io_uring",
        "bytes": size * pieces,
        "piece_bytes": size,
        "pieces": pieces,
        "queue_depth": depth,
        "read_share": {"read": 1.0, "write": 0.0}.get(op, 0.7),
        "load": "idle",
        "seconds": seconds,
        "seconds_p10": seconds / spread,
        "seconds_p90": seconds * spread,
    }


def copy_row(way, mechanism, size, pieces, seconds, **more):
    src, dst = {
        "in": ("host", "gpu"),
        "out": ("gpu", "host"),
        "both": ("host and gpu", "gpu and host"),
    }[way]
    return {
        "op": "copy",
        "src": src,
        "dst": dst,
        "mechanism": mechanism,
        "host_memory": "pinned",
        "bytes": size * pieces,
        "piece_bytes": size,
        "pieces": pieces,
        "streams": 1,
        "load": "idle",
        "seconds": seconds,
        "seconds_p10": seconds,
        "seconds_p90": seconds,
    } | more


def drive_rows(latency_s=80e-6, bytes_per_s=4e9, ops=("read", "write"), depths=(1, 4, 32)):
    """A drive that hides its latency behind depth: ``latency / depth + size / bandwidth``."""
    return [
        file_row(op, size, depth, latency_s / depth + size / bytes_per_s)
        for op in ops
        for depth in depths
        for size in (2**12, 2**14, 2**16, 2**18, 2**20, 2**22)
    ]


def gpu_rows(latency_s=10e-6, piece_s=None, bytes_per_s=40e9, ways=("in", "out")):
    """Copies that cost ``latency + pieces x max(cost, size / bandwidth)``."""
    costs = piece_s or {"loop": 5e-6, "batched": 0.5e-6, "kernel": 0.1e-6}
    rows = []
    for way in ways:
        for how, cost in costs.items():
            for size in (2**12, 2**14, 2**16, 2**18, 2**20, 2**22, 2**24, 2**26):
                pieces = max(1, min(1024, 2**26 // size))
                seconds = latency_s + pieces * max(cost, size / bytes_per_s)
                rows.append(copy_row(way, how, size, pieces, seconds))
            first = latency_s + max(cost, 2**12 / bytes_per_s)
            rows.append(copy_row(way, how, 2**12, 1, first))
    return rows


@pytest.fixture(scope="session")
def rows():
    """The makers of rows, by name."""

    class Makers:
        file, copy, drive, gpu = map(staticmethod, (file_row, copy_row, drive_rows, gpu_rows))

    return Makers
