"""Kernels that only their name tells, and that have a model of their own.

What follows are schedules of the plain models, for calibrations from before these models were:

- ``triton``: vLLM's `triton_unified_attention.py` (Apache-2.0), for heads that no other backend
  takes with an 8-bit cache. The query heads of a KV head and some queries make tiles of 16 rows;
  decodes are cut in 16 segments until there are 128 sequences times KV heads
  (`NUM_PAR_SOFTMAX_SEGMENTS`, `MIN_LAUNCH_GRID_SIZE_2D` of `triton_attn.py`).
- ``flash4``: FlashAttention 4 on Hopper, for heads 512 wide. vLLM asks for 32 splits of every
  decode that a CUDA graph may hold, up to 512 sequences, however few keys there are
  (`flash_attn_max_num_splits_for_cuda_graph`), and idle ones cost a tile too: in the tables 512
  sequences of 8 keys take ten times as long as 1,024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tierlab.hwmodels.time.silicon.kernel import Floats, Kernel
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.silicon.uneven import longest
from tierlab.kernels.ops.table import OPS, OpTable


def anywhere(ops: OpTable, machine: Machine) -> bool:
    """Say that a model holds for all shapes on all GPUs."""
    return True


@dataclass(frozen=True)
class Named:
    """Models of kernels that a word in their name tells.

    Attributes
    ----------
    mark
        The word.
    models
        One for each operation.
    runs
        (ops, machine) -> whether the models hold there.
    """

    mark: str
    models: tuple[Kernel, ...]
    runs: Callable[[OpTable, Machine], bool] = anywhere


def longest_of(ops: OpTable) -> Floats:
    """Return the keys of each decode batch's longest sequence, of chunks of each, float64[n]."""
    return np.where(ops.op == OPS.index("decode_attention"), longest(ops), ops["kv_len"])


TRITON, FLASH4 = "triton", "flash4"
MARKS = {TRITON: "triton_attn", FLASH4: "_fa4"}
"""Schedule -> what the names of its kernels hold; it is tried for no others."""
TRITON_KEYS = 32.0
"""Keys of one step of Triton's loop."""
_ROWS = 16.0
_SEGMENTS, _MOST_TILES = 16.0, 128.0
_SPLITS, _MOST_SEQUENCES = 32.0, 512.0


def splits(schedule: str, ops: OpTable) -> Floats:
    """Return the CTAs that share a KV head of one decode, float64[n]."""
    if schedule == TRITON:
        return np.where(ops["batch"] * ops["kv_heads"] <= _MOST_TILES, _SEGMENTS, 1.0)
    return np.where(ops["batch"] <= _MOST_SEQUENCES, _SPLITS, 1.0)


def triton_rows(ops: OpTable) -> Floats:
    """Return the rows of a tile of Triton's kernel: 16, or a power of two that holds a group."""
    group = ops["heads"] / ops["kv_heads"]
    rows: Floats = np.maximum(_ROWS, np.exp2(np.ceil(np.log2(group))))
    return rows
