"""What a run says about itself: kernels and copies against the bandwidth measured beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tierlab.kernels.base.units import duration, si

Row = Mapping[str, Any]
LARGE_TOKENS = 2**20
"""Batch times context above which decode attention is held against memory."""
GATHERED_BYTES = 2**16
SMALL_BYTES = 2**12


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Return figures by name; those that a run has no rows for are left out.

    Bandwidths are the best over sizes; the unit is in the name, shares have none.
    """
    found = {
        "memory_read_bytes_per_s": _best(rows, lambda r: r["op"] == "read" and _memory(r)),
        "memory_copy_bytes_per_s": _best(rows, lambda r: r["op"] == "copy" and _memory(r)),
        **_files(rows),
        "link_in_bytes_per_s": _best(rows, _pinned("host")),
        "link_out_bytes_per_s": _best(rows, _pinned("gpu")),
        **_copies(rows),
        **_attention(rows),
        **_gathers(rows),
    }
    return {name: value for name, value in found.items() if value}


def _memory(row: Row) -> bool:
    return row.get("src") in ("dram", "hbm") and row.get("dst") in ("cpu", "gpu", "dram", "hbm")


def _pinned(src: str, kernels: bool = False) -> Callable[[Row], bool]:
    def wanted(row: Row) -> bool:
        ends = row.get("src") == src and row.get("host_memory") == "pinned"
        alone = row.get("load") == "idle" and row.get("streams") == 1
        return bool(ends and alone and (kernels or row["mechanism"] != "kernel"))

    return wanted


def _rate(row: Row) -> float:
    moved = row.get("moved_bytes", row.get("bytes", 0))
    return float(moved) / float(row["seconds"])


def _best(rows: Iterable[Row], wanted: Callable[[Row], bool]) -> float:
    return max((_rate(r) for r in rows if wanted(r)), default=0.0)


def _files(rows: Sequence[Row]) -> dict[str, float]:
    """Return what a drive's data sheet states: the best rate, and pieces of 4 KiB."""
    found = {}
    for op in ("read", "write"):
        mine = [r for r in rows if r["op"] == op and "file" in (r.get("src"), r.get("dst"))]
        small = [r for r in mine if r["piece_bytes"] == SMALL_BYTES]
        alone = [float(r["seconds"]) / r["pieces"] for r in small if r["queue_depth"] == 1]
        rates = [r["pieces"] / float(r["seconds"]) for r in small]
        found[f"file_{op}_bytes_per_s"] = _best(mine, lambda r: True)
        found[f"file_{op}_latency_4KiB_s"] = min(alone, default=0.0)
        found[f"file_{op}s_4KiB_per_s"] = max(rates, default=0.0)
    return found


def _copies(rows: Sequence[Row]) -> dict[str, float]:
    """Return, of each mechanism and direction, one small piece's time, and what each more costs."""
    found = {}
    for how in ("loop", "batched", "kernel"):
        for way, src in (("in", "host"), ("out", "gpu")):
            mine = [r for r in rows if r.get("mechanism") == how and _pinned(src, True)(r)]
            small = {
                r["pieces"]: float(r["seconds"]) for r in mine if r["piece_bytes"] == SMALL_BYTES
            }
            if 1 in small and len(small) > 1:
                many = max(small)
                found[f"copy_{how}_{way}_latency_s"] = small[1]
                found[f"copy_{how}_{way}_piece_s"] = (small[many] - small[1]) / (many - 1)
    return found


def _attention(rows: Sequence[Row]) -> dict[str, float]:
    """Hold decode attention against memory, and int4 against floats, at the largest shapes.

    A copy moves each byte twice.
    """
    memory = max(
        _best(rows, lambda r: r["op"] == "read" and _memory(r)),
        2.0 * _best(rows, lambda r: r["op"] == "copy" and _memory(r)),
    )
    plain, coded = (_by_shape(rows, name) for name in ("decode", "decode_int4"))
    if not plain or not memory:
        return {}
    tokens = {shape: shape[0] * shape[1] for shape in plain}
    large = [s for s in plain if tokens[s] >= min(LARGE_TOKENS, max(tokens.values()))]
    both = [s for s in large if s in coded]
    speedups = sorted(float(plain[s]["seconds"]) / float(coded[s]["seconds"]) for s in both)
    return {
        "decode_share_of_memory_at_large_shapes": max(_rate(plain[s]) for s in large) / memory,
        "decode_int4_speedup_at_large_shapes": speedups[len(speedups) // 2] if speedups else 0.0,
    }


def _by_shape(rows: Sequence[Row], name: str) -> dict[tuple[int, ...], Row]:
    keys = ("batch", "kv_len", "heads", "kv_heads", "head_dim")
    return {tuple(r[k] for k in keys): r for r in rows if r.get("operation") == name}


def _gathers(rows: Sequence[Row]) -> dict[str, float]:
    """64 KiB pieces from pinned memory, as a share of the best that the link did."""
    link = _best(rows, _pinned("host"))
    found = {}
    for how in ("loop", "batched", "kernel"):

        def wanted(row: Row, how: str = how) -> bool:
            same = row.get("mechanism") == how and row.get("piece_bytes") == GATHERED_BYTES
            return same and _pinned("host", True)(row)

        if link:
            found[f"gather_64KiB_share_of_link_{how}"] = _best(rows, wanted) / link
    return found


def written(name: str, value: float) -> str:
    """Return a figure as a person reads it."""
    if name.endswith("bytes_per_s"):
        return f"{name}: {si(value, 'B/s')}"
    if name.endswith("_per_s"):
        return f"{name}: {si(value, '/s')}"
    if name.endswith("_s"):
        return f"{name}: {duration(value)}"
    return f"{name}: {value:.2f}"
