"""Windows that hold all keys: engines drop them, and run the kernel that knows of none.

FlashAttention does (`window_size_left` in ``flash_api.cpp``), and for every engine's kernels public
times with such a window and without are the same to 2% in the median (2026-11-21). FlashAttention 2
alone packs no heads of a single query where a window is set, whatever it holds: up to 15 times as
slow (L40S).
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.measured import Measured
from tierlab.hwmodels.time.silicon.uneven import longest
from tierlab.kernels.ops.table import COLUMNS, OpTable

_FLASH2 = re.compile(r"_fa2|flash2|flash_attn$")
"""In the names of FlashAttention 2."""
_WINDOW = COLUMNS.index("window")


def minds(kernel: str) -> bool:
    """Say whether a kernel of this name is another for single queries where a window is set."""
    return _FLASH2.search(kernel) is not None


def dropped(ops: OpTable, minds: NDArray[np.bool_] | bool) -> NDArray[np.bool_]:
    """Say where a window is set and an engine drops it, bool[n].

    Parameters
    ----------
    minds
        Of the kernel, or of each row's (`minds`).
    """
    window = ops["window"]
    found: NDArray[np.bool_] = (window > 0) & (longest(ops) <= window)
    return found & ~(minds & (ops["q_len"] == 1)) if found.any() else found


def answered(part: Measured) -> NDArray[np.bool_]:
    """Say which measurements are of calls that the model of their kernel answers, bool[n].

    Calls whose window is dropped are fitted, too: they run on the same machine. They are asked of
    another model.
    """
    if not part.key.windowed:
        return np.ones(len(part), np.bool_)
    return ~dropped(part.ops, minds(part.key.kernel))


def without(ops: OpTable, rows: NDArray[np.bool_]) -> OpTable:
    """Return the same calls, some of them without their windows."""
    values = ops.values.copy()
    values[_WINDOW, rows] = 0.0
    return OpTable(ops.op, ops.dtype, ops.kv_dtype, values)
