"""FlashAttention 3's tiles and splits, as vLLM runs it: ragged batches, paged cache without TMA.

Tiles are those of `tile_size_fwd_sm90` (``hopper/tile_size.h``). The keys of a tile are split
twice over: `get_num_splits` bounds the splits as if the batch were one sequence
(``num_splits_heuristic``), and ``prepare_varlen_num_blocks`` then deals out blocks evenly.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import Floats
from tierlab.hwmodels.time.silicon.once import once
from tierlab.hwmodels.time.silicon.uneven import longest as longest_of
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

MOST_SPLITS = 128
MOST_DYNAMIC = 992.0
"""Sequences past which splits are not dealt out by length."""
FEWEST_BLOCKS = 4.0
"""Keys of up to so many blocks are never split."""
_FULL = 0.8
"""Share of the SMs that tiles must fill to stay whole."""
_NEAR = 0.85
"""Of the best efficiency, what the fewest splits must reach."""
_SLACK = 1.1
_STEPS = (64.0, 128.0, 192.0)
_HIGH = np.array((192.0, 128.0, 128.0, 128.0))
_WIDE = np.array(
    [
        [(128.0, 128.0, 96.0, 80.0), (160.0, 128.0, 96.0, 64.0)],
        [(160.0, 160.0, 160.0, 128.0), (160.0, 160.0, 128.0, 64.0)],
    ]
)
"""Rows of a tile by head width; keys by bytes stored (two, one), window (none, one), head width."""


@once
def tile(ops: OpTable) -> tuple[Floats, Floats]:
    """Return the rows and the keys of a tile, both [n]."""
    return _tile(ops, (ops["window"] > 0).astype(np.intp))


def tile_without_window(ops: OpTable) -> tuple[Floats, Floats]:
    """Return the same of the kernels for no window."""
    return _tile(ops, np.zeros(len(ops), np.intp))


def _tile(ops: OpTable, windowed: NDArray[np.intp]) -> tuple[Floats, Floats]:
    step = np.searchsorted(_STEPS, ops["head_dim"])
    narrow = (DTYPE_BYTES < 2.0).astype(np.intp)[ops.kv_dtype]
    return _HIGH[step], _WIDE[narrow, windowed, step]


@once
def packs_by_tma(ops: OpTable) -> NDArray[np.bool_]:
    """Return where one bulk copy loads the queries of a tile: kernels for groups of 4, 8 and 16."""
    packs: NDArray[np.bool_] = np.isin(ops["heads"] / ops["kv_heads"], (4.0, 8.0, 16.0))
    return packs


@once
def splits(ops: OpTable, sms: float, longest: bool = False) -> Floats:
    """Return the CTAs that share a tile of a batch's mean or longest sequence, float64[n].

    The longest sequence bounds the splits of all; the keys of all tell how many blocks an SM takes.
    """
    high, wide = tile(ops)
    most = longest_of(ops)
    tiles = ops["kv_heads"] * np.ceil(ops["q_len"] * ops["heads"] / ops["kv_heads"] / high)
    window = np.where(ops["window"] > 0, ops["window"], np.inf)
    seen = np.minimum(most, window + high)
    bound = _bound(tiles, np.ceil(seen / wide), sms)
    blocks = np.ceil(ops["kv_len"] / wide)
    per_sm = np.ceil(ops["batch"] * tiles * blocks * (_SLACK / sms))
    own = np.ceil(most / wide) if longest else blocks
    dealt = np.minimum(np.ceil(own / per_sm), bound)
    return np.where(ops["batch"] > MOST_DYNAMIC, 1.0, dealt)


def _bound(tiles: Floats, blocks: Floats, sms: float) -> Floats:
    table = _table(sms)
    row = np.minimum(tiles, len(table) - 1.0).astype(np.int64)
    column = np.minimum(blocks, MOST_SPLITS).astype(np.int64)
    whole = (tiles >= _FULL * sms) | (blocks <= FEWEST_BLOCKS)
    return np.where(whole, 1.0, table[row, column])


@lru_cache(maxsize=8)
def _table(sms: float) -> NDArray[np.float64]:
    """Return the splits by tiles and by the most splits possible."""
    tiles = np.arange(1, int(np.ceil(_FULL * sms)) + 1, dtype=np.float64)
    count = np.arange(1, MOST_SPLITS + 1, dtype=np.float64)
    waves = tiles[:, None] * count / sms
    efficiency = waves / np.ceil(waves)
    best = np.maximum.accumulate(efficiency, axis=1)
    made = np.ones((len(tiles) + 1, MOST_SPLITS + 1))
    for most in range(1, MOST_SPLITS + 1):
        enough = efficiency[:, :most] >= _NEAR * best[:, most - 1 : most]
        made[1:, most] = 1.0 + np.argmax(enough, axis=1)
    return made
