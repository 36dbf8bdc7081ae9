"""FlashInfer's prefill over 8-bit caches, where vLLM has no FlashAttention for them.

From FlashInfer's ``scheduler.cuh`` and ``utils.cuh`` (Apache-2.0):

- the query heads of a KV head are rows of one tile: 128 rows, 64 for heads 256 wide or up to 64
  rows, 16 up to 16 (`FA2DetermineCtaTileQ`), against blocks of 64 keys;
- keys are cut into as many chunks as fill two CTAs an SM, of 128 keys or more; of a window only
  what a tile sees of it counts (`PrefillBinarySearchKVChunkSize`). Each chunk writes its output in
  fp32 and another kernel merges them. So a longer prompt that is no longer cut takes less time.

vLLM stores keys and values for it head by head (`blackwell`).
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.silicon.grid import Grid, from_first
from tierlab.hwmodels.time.silicon.kernel import Floats, Parameter, Values, reach
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.table import OpTable

NAME = "chunked"
"""Of the schedule."""
KEYS = 64.0
_FEWEST = 128.0
"""Keys of a chunk, at least."""
_CTAS = 2.0


def _own(start: float, low: float, high: float, meaning: str) -> Parameter:
    return Parameter(start, low, high, meaning, absent=start, only=(NAME,))


PARAMETERS = {
    "merge_ns": _own(300.0, 5.0, 4000.0, "merging a row 128 wide, ns of an SM"),
    "rows64": _own(1.5, 0.1, 6.0, "a tile's fixed cost with 64 rows, 1"),
    "rows16": _own(0.8, 0.05, 3.0, "the same with 16 rows, 1"),
}


def tile(ops: OpTable) -> tuple[Floats, Floats]:
    """Return the rows and the keys of a tile, both [n]."""
    rows = ops["q_len"] * ops["heads"] / ops["kv_heads"]
    high = np.where((rows > 64.0) & (ops["head_dim"] < 256.0), 128.0, 64.0)
    return np.where(rows <= 16.0, 16.0, high), np.full(len(ops), KEYS)


def chunks(ops: OpTable, sms: float, high: Floats) -> Floats:
    """Return the parts that keys are cut into, by the rows of a tile, float64[n]."""
    rows = ops["q_len"] * ops["heads"] / ops["kv_heads"]
    room = np.floor(_CTAS * sms / ops["kv_heads"]) / (ops["batch"] * np.ceil(rows / high))
    seen = np.where(reach(ops)[1], ops["window"] + high - 1.0, np.inf)
    seen = np.minimum(seen, ops["kv_len"])
    size = np.maximum(np.ceil(seen / np.maximum(np.floor(room), 1.0)), _FEWEST)
    parts: Floats = np.ceil(seen / size)
    return parts


def grid(ops: OpTable, sms: float) -> Grid:
    """Return the tiles of a call and their blocks."""
    group, (high, wide) = ops["heads"] / ops["kv_heads"], tile(ops)
    queries, past, binds = ops["q_len"], ops["kv_len"] - ops["q_len"], reach(ops)[1]
    span, per_head = np.minimum(high / group, queries), np.ceil(queries * group / high)
    free = np.where(binds, np.ceil((ops["window"] - 1.0 - past) / span), per_head)
    free = np.clip(free, 0.0, per_head)
    bound = np.where(binds, (span + ops["window"] + wide - 2.0) / wide, 0.0)
    whole = np.where(per_head > free, np.ceil(bound), np.ceil(ops["kv_len"] / wide))
    blocks = from_first(free, span, past, queries, wide) + (per_head - free) * bound
    lanes, parts = ops["batch"] * ops["kv_heads"], chunks(ops, sms, high)
    longest = np.maximum(np.ceil(whole / parts), 1.0)
    return Grid(lanes * per_head, longest, lanes * blocks, parts, high * wide)


def merging_s(ops: OpTable, machine: Machine, parts: Floats, p: Values) -> Floats:
    """Return the time of merging what chunks wrote, s, float64[n].

    A block of 128 threads takes a row at a time, however many chunks up to eight: narrower heads
    share it among more chunks (`PersistentVariableLengthMergeStatesKernel`) and take longer.
    """
    rows = ops["batch"] * ops["q_len"] * ops["heads"] * np.sqrt(128.0 / ops["head_dim"])
    each_s = p["merge_ns"] * 1e-9 / machine.sms
    return np.where(parts > 1.0, rows * each_s, 0.0)


def fixed(ops: OpTable, p: Values) -> Floats:
    """Return how much larger than another's the fixed cost of a tile of few rows is, float64[n]."""
    high, _ = tile(ops)
    less = np.where(high <= 16.0, p["rows16"], 1.0)
    few: Floats = np.where((high == 64.0) & (ops["head_dim"] < 256.0), p["rows64"], less)
    return few
