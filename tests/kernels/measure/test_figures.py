import pytest

from tierlab.kernels.measure.figures import figures


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
