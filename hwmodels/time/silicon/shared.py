"""Decodes beside prefill chunks in one launch: FlashAttention's ragged kernels, as vLLM calls them.

One call serves the whole batch, with the longest chunk's queries as every sequence's. A decode is
then a tile with one row used, its keys are never split, and

- *FlashAttention 2* packs no heads: every query head is a tile of its own, and every sequence gets
  the longest chunk's number of tiles, of which all but one find nothing to do. Query heads are the
  grid's slowest index (``flash_fwd_launch_template.h``), so that with many decodes those that share
  a KV head run one after the other and read its keys again unless L2 still holds them.
- *FlashAttention 3* packs the heads of a KV head and gives sequences their own number of tiles;
  keys stay whole where the chunk's tiles fill the SMs (`flash3`).

FlashInfer and TensorRT-LLM launch decodes apart: their times add up. The constants are fitted to
the 8,448 mixed rows of LLMServingSim's RTX 4090 profile (MIT; vLLM 0.19, `attention.csv`; of
2026-11-21), the only public measurement of such batches; its steps in the keys show tiles of 64 by
64. What holds for other GPUs from there is an assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tierlab.hwmodels.time.silicon import engines, flash3
from tierlab.hwmodels.time.silicon.fitted import Fitted
from tierlab.hwmodels.time.silicon.kernel import Floats, by_head_dim, reach
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.hwmodels.time.times import SharedLaunch
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

NAME = "flash_attn"
"""In the names of kernels that serve chunks and decodes in one launch."""
TAIL = 0.78
"""Of the shorter of the longest chunk and the longest decode, what their chance meeting adds."""
POOLED = {"pooled flash2": "fa2", "pooled flash3": "fa3"}
"""Kernels of constants that stand for several devices."""
WHOLE_SHARE = 0.8
"""Of the SMs, what a chunk's tiles fill where FlashAttention 3 leaves keys whole (`flash3`)."""
POWER = 3.2
"""How well memory and arithmetic overlap: a norm."""
HELD = 1.04
"""Of the L2, what keys may fill that another head is to read again."""
_EDGE = 64.0
_SHARE = 0.80
"""Of the peak, what a block of 64 x 64 reaches."""
_TILE_CYCLES = 11000.0
"""A tile's start and end."""
_EMPTY_S = 0.32e-6
"""A tile without work, on its SM."""


@dataclass(frozen=True)
class _Tiles:
    """Tiles of one layer: rows of queries in each, how many a row of tiles has, and their times."""

    queries: float
    lanes: float
    block_s: float
    tile_s: float
    wide: float
    empty_s: float
    readers: float
    whole_share: float


def shares(prefill: Fitted, decode: Fitted) -> str | None:
    """Return ``fa2`` or ``fa3`` where one launch serves both kinds of rows, else None."""
    names = {prefill.key.kernel, decode.key.kernel}
    narrow = "fp8" in (prefill.key.kv_dtype, decode.key.kv_dtype)
    if names <= set(POOLED):
        return POOLED[prefill.key.kernel] if len(names) == 1 else None
    if len(names) > 1 or NAME not in prefill.key.kernel:
        return None
    return "fa3" if "fa3" in prefill.key.kernel else "fa2" if not narrow else None


def shared_launch(
    kind: str, prefill: Fitted, decode: Fitted, machine: Machine, ops: OpTable, keys: Floats
) -> SharedLaunch:
    """Return what one layer's decodes add to a launch with chunks.

    Parameters
    ----------
    kind
        As `shares` returns it.
    ops
        One row: the layer's decode attention.
    keys
        float64[n], keys of a sequence.
    """
    at = ops.take(np.zeros(len(keys), np.int64))
    at["kv_len"][:] = keys
    seen, _ = reach(at)
    tiles = (_packed if kind == "fa3" else _single)(prefill, machine, ops)
    longest_s = tiles.tile_s + np.ceil(seen / tiles.wide) * tiles.block_s
    row = 2.0 * float(ops["head_dim"][0] * DTYPE_BYTES[ops.kv_dtype[0]])
    rate = decode.parameters["hbm_eff"] * machine.bytes_per_s
    lanes = tiles.lanes / machine.sms
    return SharedLaunch(
        longest_s=longest_s,
        read_s=seen * (row * float(ops["kv_heads"][0]) / rate),
        held=seen * (row / (HELD * machine.l2_bytes)),
        lanes=lanes,
        queries=tiles.queries,
        readers=tiles.readers,
        crowd=tiles.readers / machine.sms,
        empty_s=lanes * tiles.empty_s,
        whole_share=tiles.whole_share,
        tail=TAIL,
        power=POWER,
    )


def together(parts: Sequence[tuple[SharedLaunch, float]]) -> SharedLaunch:
    """Return several layers one after the other: each with how often it counts."""
    first = parts[0][0]
    return replace(
        first,
        longest_s=np.sum([x * one.longest_s for one, x in parts], axis=0),
        read_s=np.sum([x * one.read_s for one, x in parts], axis=0),
        held=np.max([one.held for one, _ in parts], axis=0),
        empty_s=sum(x * one.empty_s for one, x in parts),
    )


def _single(prefill: Fitted, machine: Machine, ops: OpTable) -> _Tiles:
    heads, dim = float(ops["heads"][0]), float(ops["head_dim"][0])
    block_s = 4.0 * _EDGE * _EDGE * dim * machine.sms / (_SHARE * machine.peak("bf16"))
    tile_s, group = _TILE_CYCLES / machine.clock_hz, heads / float(ops["kv_heads"][0])
    return _Tiles(_EDGE, heads, block_s, tile_s, _EDGE, _EMPTY_S, group, 0.0)


def _packed(prefill: Fitted, machine: Machine, ops: OpTable) -> _Tiles:
    high, wide = (float(x[0]) for x in flash3.tile(ops))
    group, dim = float(ops["heads"][0] / ops["kv_heads"][0]), ops["head_dim"]
    peak = machine.peak("bf16") * float(by_head_dim(dim, prefill.parameters, "peak")[0])
    softmax_s = prefill.parameters["vector"] / machine.clock_hz
    shown = engines.costs(prefill.schedule, ops, machine).softmax
    block_s = high * wide * (4.0 * float(dim[0]) * machine.sms / peak + shown * softmax_s)
    tile_s = float(by_head_dim(dim, prefill.parameters, "tile")[0]) * 1e-9
    lanes = float(ops["kv_heads"][0]) * np.ceil(group / high)
    return _Tiles(high / group, lanes, block_s, tile_s, wide, 0.0, 1.0, WHOLE_SHARE)
