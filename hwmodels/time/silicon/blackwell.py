"""TensorRT-LLM's prefill on Blackwell's data centre SMs, tile by tile.

Its kernels' names say it (``fmhaSm100aKernel_...Q256Kv128PersistentContext``, ``trtllm-gen``): a
CTA takes two tiles of 128 queries of one head and blocks of 128 keys, from the block that the
window of its first query begins in. Heads over 128 wide leave room for one tile: the public times
of windows step so (2026-11-21).

vLLM stores keys and values for it head by head (layout HND): a warp a head
(``reshape_and_cache_flash_kernel``), which takes as long for narrow heads as for wide ones.
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.silicon.grid import Grid
from tierlab.hwmodels.time.silicon.kernel import Floats, Parameter, Values, reach
from tierlab.kernels.ops.table import OpTable

NAME = "blackwell"
"""Of the schedule."""
KEYS = 128.0
_ROWS = 256.0
_WIDEST = 128.0
"""Heads that two tiles of queries fit beside."""
PARAMETERS = {
    "odd_us": Parameter(
        0.5,
        1e-3,
        8.0,
        "a tile of 128 wide heads that are no power of two, us",
        absent=0.5,
        only=(NAME,),
    ),
}
_WARP = 32.0
_THREADS = 512.0


def rows(ops: OpTable) -> Floats:
    """Return the queries of a CTA, float64[n]."""
    return np.where(ops["head_dim"] > _WIDEST, _ROWS / 2.0, _ROWS)


def tile(ops: OpTable) -> tuple[Floats, Floats]:
    """Return the rows and the keys of a tile, both [n]."""
    return rows(ops), np.full(len(ops), KEYS)


def grid(ops: OpTable) -> Grid:
    """Return the tiles of a call and their blocks."""
    queries, past, high = ops["q_len"], ops["kv_len"] - ops["q_len"], rows(ops)
    per_head, heads = np.ceil(queries / high), ops["batch"] * ops["heads"]
    last = np.ceil((np.minimum(high, queries) + past) / KEYS)
    rising = per_head * last + per_head * (per_head - 1.0) * (high / KEYS / 2.0)
    over = np.floor((per_head * high - queries) / KEYS) * (per_head > 1)
    skipped = _skipped(ops, per_head, past)
    first = np.floor(np.maximum(past + (per_head - 1.0) * high - ops["window"] + 1.0, 0.0) / KEYS)
    longest = np.ceil(ops["kv_len"] / KEYS) - np.where(reach(ops)[1], first, 0.0)
    longest = np.maximum(longest, np.where(per_head > 1, _whole(ops), 1.0))
    ones = np.ones(len(ops))
    return Grid(heads * per_head, longest, heads * (rising - over - skipped), ones, high * KEYS)


def _whole(ops: OpTable) -> Floats:
    """Return the blocks of a tile in the middle of a sequence behind a window, else 1."""
    blocks = np.ceil((rows(ops) + ops["window"] - 1.0) / KEYS)
    return np.where(reach(ops)[1], np.minimum(blocks, np.ceil(ops["kv_len"] / KEYS)), 1.0)


def _skipped(ops: OpTable, tiles: Floats, past: Floats) -> Floats:
    """Return the blocks of a head that its window leaves out, float64[n]."""
    binds, high = reach(ops)[1], rows(ops)
    before = np.where(binds, past - ops["window"] + 1.0, -np.inf)
    start = np.clip(np.ceil(-before / high), 0.0, tiles)
    many = tiles - start
    from_first = np.where(many > 0, before + start * high, 0.0)
    found: Floats = many * np.floor(from_first / KEYS) + many * (many - 1.0) * (high / KEYS / 2.0)
    return np.where(binds & (many > 0), found, 0.0)


def odd_s(ops: OpTable, p: Values) -> Floats:
    """Return what a tile takes more where the heads are no power of two, s, float64[n].

    No source says so: the public times do, by as much behind a window as without (2026-11-21).
    """
    heads = np.log2(ops["heads"])
    more: Floats = np.where(heads != np.round(heads), p["odd_us"] * 1e-6, 0.0)
    scaled: Floats = more * np.square(ops["head_dim"] / 128.0)
    return scaled


def rounds(ops: OpTable) -> Floats:
    """Return the rounds beyond the first in which a token is stored, float64[n].

    A share of one for warps that the first leaves idle: two warps take longer than one, too.
    """
    warps = np.minimum(ops["kv_heads"] * ops["head_dim"], _THREADS) / _WARP
    heads = ops["kv_heads"] / warps
    found: Floats = np.ceil(heads) - 1.0 + heads / 2.0
    return found
