"""FlashAttention 2's decode, as vLLM runs it: ragged batches over a paged cache.

Query heads of a KV head are packed into one tile only where heads are grouped and no window is set
(``seqlenq_ngroups_swapped`` in ``csrc/flash_attn/flash_api.cpp``); elsewhere each query head is a
tile. Packed tiles alone are split, as `num_splits_heuristic` says for two CTAs an SM. Packing swaps
two axes, which copies queries in and outputs out once there are several sequences and KV heads.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.kernel import Floats, reach
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.table import OpTable

MOST_SPLITS = 128
COPIES = 2.0
"""Kernels that packing costs: queries in, outputs out."""
SCHEDULES = ("flash2", "fixed", "none")
"""Names in `decode` of what this kernel may do."""
_ROWS = 64.0
_DRIVERS_BYTES = 1024.0
_FULL = 0.8
_NEAR = 0.85
_CTAS = 2.0


def packs(ops: OpTable) -> NDArray[np.bool_]:
    """Return where the query heads of a KV head share a tile, bool[n]."""
    found: NDArray[np.bool_] = (ops["heads"] > ops["kv_heads"]) & (ops["window"] == 0)
    return found


def copies(ops: OpTable) -> Floats:
    """Return the kernels that only copy, float64[n]."""
    moved = packs(ops) & (ops["q_len"] == 1) & (ops["batch"] > 1) & (ops["kv_heads"] > 1)
    return np.where(moved, COPIES, 0.0)


def keys_of_block(ops: OpTable) -> Floats:
    """Return the keys of a block of the splitting kernel, by head width, float64[n]."""
    dim = ops["head_dim"]
    return np.where(dim <= 64, 256.0, np.where(dim <= 128, 128.0, 64.0))


def read(ops: OpTable) -> tuple[Floats, Floats]:
    """Return the keys that a pass over the cache loads of a sequence, and the passes, float64[n].

    Whole blocks from the first that a window lets in; a pass for each query head of a KV head where
    these are not packed, as the grid goes through the batch head by head.
    """
    length, wide = ops["kv_len"], keys_of_block(ops)
    behind = np.floor((length - reach(ops)[0]) / wide) * wide
    return length - behind, np.where(packs(ops), 1.0, ops["heads"] / ops["kv_heads"])


def ctas(ops: OpTable, machine: Machine) -> Floats:
    """Return the CTAs of the splitting kernel that one SM holds, float64[n].

    Shared memory has room for 64 rows of queries and a block of keys and of values
    (``Flash_fwd_kernel_traits``); the driver takes 1 KiB of each.
    """
    held = 2.0 * ops["head_dim"] * (_ROWS + 2.0 * keys_of_block(ops)) + _DRIVERS_BYTES
    return np.maximum(np.floor(machine.sram_bytes / held), 1.0)


def rounds(lanes: Floats, splits: Floats) -> Floats:
    """Return how often the splitting kernel's grid goes through the batch, float64[n].

    Head by head, or where tiles are split sequence by sequence (``run_flash_splitkv_fwd``).
    """
    return np.where(splits > 1, 1.0, lanes)


def splits(tiles: Floats, blocks: Floats, sms: float) -> Floats:
    """Return the CTAs that share a packed tile of so many blocks, float64[n]."""
    table = _table(_CTAS * sms)
    row = np.minimum(tiles, len(table) - 1.0).astype(np.int64)
    column = np.minimum(blocks, MOST_SPLITS).astype(np.int64)
    return np.where(tiles >= _FULL * _CTAS * sms, 1.0, table[row, column])


@lru_cache(maxsize=8)
def _table(room: float) -> NDArray[np.float64]:
    """Return the splits by tiles and by blocks.

    The fewest that come within 85% of the best filling, among those that shorten the loop.
    """
    made = np.ones((int(np.ceil(_FULL * room)) + 1, MOST_SPLITS + 1))
    tiles = np.arange(1.0, len(made))[:, None]
    for blocks in range(1, MOST_SPLITS + 1):
        count = np.arange(1.0, min(blocks, int(room)) + 1.0)
        loop = np.ceil(blocks / count)
        shorter = np.append(True, loop[1:] != loop[:-1])
        waves = tiles * count / room
        filled = np.where(shorter, waves / np.ceil(waves), 0.0)
        best = filled.max(axis=1, keepdims=True)
        made[1:, blocks] = 1.0 + np.argmax(filled >= _NEAR * best, axis=1)
    return made
