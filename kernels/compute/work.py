"""Bytes and floating-point operations of every operation.

Each function takes a shape and the bytes of a float. Bytes are those that must move once: inputs
read and outputs written, each cached key and value once whatever the number of query heads. A
multiply-add counts as two operations; exponentials, comparisons and index arithmetic as none.
"""

from __future__ import annotations

from tierlab.kernels.compute.operation import Count, Shape

INDEX_BYTES = 4
SIDE_BYTES = 4
"""Of a scale, and of a low."""


def gemm_bytes(s: Shape, size: int) -> int:
    """Both operands and the product."""
    return size * (s["m"] * s["k"] + s["k"] * s["n"] + s["m"] * s["n"])


def gemm_flops(s: Shape, size: int) -> int:
    """2 m k n."""
    return 2 * s["m"] * s["k"] * s["n"]


def rotary_bytes(s: Shape, size: int) -> int:
    """Read, written, and positions."""
    return 2 * size * s["tokens"] * s["heads"] * s["dim"] + INDEX_BYTES * s["tokens"]


def rotary_flops(s: Shape, size: int) -> int:
    """Two products and a sum a value."""
    return 3 * s["tokens"] * s["heads"] * s["dim"]


def streams(count: int) -> Count:
    """`count` arrays of [rows, n] read or written."""
    return lambda s, size: count * size * s["rows"] * s["n"]


def rmsnorm_bytes(s: Shape, size: int) -> int:
    """Count rows read and written, and the weight."""
    return size * s["n"] * (2 * s["rows"] + 1)


def per_value(count: int) -> Count:
    """`count` operations for each of [rows, n]."""
    return lambda s, size: count * s["rows"] * s["n"]


def hadamard_flops(s: Shape, size: int) -> int:
    """N log2 n additions and n products a row."""
    return s["rows"] * s["n"] * s["n"].bit_length()


def decode_bytes(s: Shape, size: int) -> int:
    """Count cached keys and values, queries and outputs."""
    tokens = s["batch"] * s["context"]
    return size * s["dim"] * (2 * tokens * s["kv_heads"] + 2 * s["batch"] * s["heads"])


def decode_flops(s: Shape, size: int) -> int:
    """2 dim for a score and 2 dim for a weighted value, for every token and query head."""
    return 4 * s["batch"] * s["context"] * s["heads"] * s["dim"]


def codes_bytes(bits: int) -> Count:
    """Codes with a scale and a low a group, queries and outputs."""

    def count(s: Shape, size: int) -> int:
        values = 2 * s["batch"] * s["context"] * s["kv_heads"] * s["dim"]
        kept = values * bits // 8 + values // s["group"] * 2 * SIDE_BYTES
        return kept + 2 * size * s["batch"] * s["heads"] * s["dim"]

    return count


def _pairs(s: Shape) -> int:
    """Query and key pairs of a causal chunk at the end of a context."""
    return s["queries"] * (s["context"] - s["queries"]) + s["queries"] * (s["queries"] + 1) // 2


def prefill_bytes(s: Shape, size: int) -> int:
    """Count cached keys and values once, queries and outputs."""
    rows = 2 * s["context"] * s["kv_heads"] + 2 * s["queries"] * s["heads"]
    return size * s["batch"] * s["dim"] * rows


def prefill_flops(s: Shape, size: int) -> int:
    """4 dim for every pair that the causal mask leaves."""
    return 4 * s["batch"] * s["heads"] * s["dim"] * _pairs(s)


def _packed(s: Shape) -> int:
    values = s["rows"] * s["n"]
    return values * s["bits"] // 8 + values // s["group"] * 2 * SIDE_BYTES


def quantise_bytes(s: Shape, size: int) -> int:
    """Floats on one side, codes with scales and lows on the other."""
    return size * s["rows"] * s["n"] + _packed(s)


def representatives_bytes(s: Shape, size: int) -> int:
    """All keys and a mean a block."""
    return size * s["blocks"] * s["kv_heads"] * s["dim"] * (s["block"] + 1)


def representatives_flops(s: Shape, size: int) -> int:
    """One addition a key."""
    return s["blocks"] * s["kv_heads"] * s["dim"] * s["block"]


def scores_bytes(s: Shape, size: int) -> int:
    """Count representatives, queries and scores."""
    blocks = s["batch"] * s["width"] * s["kv_heads"] * (s["dim"] + 1)
    return size * (blocks + s["batch"] * s["heads"] * s["dim"])


def scores_flops(s: Shape, size: int) -> int:
    """2 dim for every block and query head."""
    return 2 * s["batch"] * s["width"] * s["heads"] * s["dim"]


def top_bytes(s: Shape, size: int) -> int:
    """Scores and the chosen ids."""
    return size * s["rows"] * s["width"] + INDEX_BYTES * s["rows"] * s["k"]


def gather_bytes(s: Shape, size: int) -> int:
    """Each chosen block read and written."""
    return s["chosen"] * (2 * s["block_bytes"] + INDEX_BYTES)


def none(s: Shape, size: int) -> int:
    """No arithmetic."""
    return 0


def lowrank_bytes(s: Shape, size: int) -> int:
    """Count the chosen rows of left, all of right, and the keys."""
    channels = s["kv_heads"] * s["dim"]
    return size * (s["chosen"] * s["rank"] + s["rank"] * channels + s["chosen"] * channels)


def lowrank_flops(s: Shape, size: int) -> int:
    """Count the product, and the rotation of what it gives."""
    return s["chosen"] * s["kv_heads"] * s["dim"] * (2 * s["rank"] + 3)
