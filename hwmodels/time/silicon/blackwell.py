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

from tierlab.hwmodels.time.silicon.grid import Grid, whole_blocks
from tierlab.hwmodels.time.silicon.kernel import Floats, Parameter, Values
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
    return whole_blocks(ops, rows(ops), KEYS)


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
