import pytest

from tierlab.kernels.measure.figures import figures, written


def attention(name: str, batch: int, context: int, moved: float, seconds: float) -> dict:
    return {
        "op": "decode_attention",
        "operation": name,
        "batch": batch,
        "kv_len": context,
        "heads": 32,
        "kv_heads": 8,
        "head_dim": 128,
        "moved_bytes": moved,
        "seconds": seconds,
    }


def link(how: str, piece: int, rate: float, **changed) -> dict:
    row = {
        "op": "copy",
        "src": "host",
        "dst": "gpu",
        "mechanism": how,
        "host_memory": "pinned",
        "piece_bytes": piece,
        "bytes": 1e6,
        "seconds": 1e6 / rate,
        "load": "idle",
        "streams": 1,
        "pieces": 16,
    }
    return row | changed


def test_kernels_and_gathers_are_held_against_the_same_run() -> None:
    rows = [
        {"op": "read", "src": "hbm", "dst": "gpu", "bytes": 4e9, "seconds": 1e-3},
        {"op": "copy", "src": "hbm", "dst": "hbm", "bytes": 2.1e9, "seconds": 1e-3},
        attention("decode", 1, 4096, 1e6, 1e-6),
        attention("decode", 16, 65536, 3.6e9, 1e-3),
        attention("decode", 64, 65536, 3.8e9, 1e-3),
        attention("decode_int4", 16, 65536, 1e9, 4e-4),
        link("loop", 2**26, 50e9),
        link("loop", 2**16, 5e9),
        link("kernel", 2**16, 45e9),
        link("kernel", 2**16, 49e9, load="gemm"),
        link("kernel", 2**16, 48e9, host_memory="pageable"),
    ]
    found = figures(rows)
    assert found == pytest.approx(
        {
            "memory_read_bytes_per_s": 4e12,
            "memory_copy_bytes_per_s": 2.1e12,
            "link_in_bytes_per_s": 50e9,
            "decode_share_of_memory_at_large_shapes": 3.8 / 4.2,
            "decode_int4_speedup_at_large_shapes": 2.5,
            "gather_64KiB_share_of_link_loop": 0.1,
            "gather_64KiB_share_of_link_kernel": 0.9,
        }
    )


def test_what_was_not_measured_is_left_out() -> None:
    assert figures([]) == {}


def file(op: str, piece: int, depth: int, seconds: float) -> dict:
    ends = {"src": "file", "dst": "dram"} if op == "read" else {"src": "dram", "dst": "file"}
    return {
        "op": op, **ends, "mechanism": "io_uring", "piece_bytes": piece, "pieces": 100,
        "bytes": 100 * piece, "queue_depth": depth, "seconds": seconds, "load": "idle",
    }  # fmt: skip


def test_a_drive_in_the_terms_of_its_data_sheet() -> None:
    rows = [
        file("read", 2**12, 1, 7e-3),
        file("read", 2**12, 32, 1e-3),
        file("read", 2**20, 32, 0.04),
        file("write", 2**12, 1, 2e-3),
    ]
    assert figures(rows) == pytest.approx(
        {
            "file_read_bytes_per_s": 100 * 2**20 / 0.04,
            "file_read_latency_4KiB_s": 7e-5,
            "file_reads_4KiB_per_s": 1e5,
            "file_write_bytes_per_s": 100 * 2**12 / 2e-3,
            "file_write_latency_4KiB_s": 2e-5,
            "file_writes_4KiB_per_s": 5e4,
        }
    )


def test_a_copy_s_latency_and_what_each_piece_adds() -> None:
    rows = [
        link("batched", 2**12, 1.0, pieces=1, seconds=1e-5),
        link("batched", 2**12, 1.0, pieces=1001, seconds=1e-5 + 5e-4),
        link("batched", 2**12, 1.0, pieces=1001, seconds=9.0, load="gemm"),
        link("loop", 2**12, 1.0, pieces=1001, seconds=5e-3),
    ]
    found = figures(rows)
    assert found["copy_batched_in_latency_s"] == 1e-5
    assert found["copy_batched_in_piece_s"] == pytest.approx(5e-7)
    assert not any(name.startswith("copy_loop") for name in found)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("link_in_bytes_per_s", 55.2e9, "link_in_bytes_per_s: 55.2 GB/s"),
        ("file_reads_4KiB_per_s", 1.5e5, "file_reads_4KiB_per_s: 150 k/s"),
        ("file_read_latency_4KiB_s", 6.6e-5, "file_read_latency_4KiB_s: 66 us"),
        ("decode_int4_speedup_at_large_shapes", 2.512, "decode_int4_speedup_at_large_shapes: 2.51"),
    ],
)
def test_figures_are_written_with_their_unit(name: str, value: float, said: str) -> None:
    assert written(name, value) == said
