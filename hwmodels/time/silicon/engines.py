"""The attention kernels that vLLM runs on a GPU's generation, and what their sources say of them.

- ``flash2`` (`flash2`): Ampere, Ada, and Blackwell without data centre SMs; bf16 caches.
- ``flashinfer``: the same GPUs, 8-bit caches: query heads packed, keys split to fill two CTAs an
  SM.
- ``flash3`` (`flash3`): Hopper. 8-bit caches take 8-bit queries, quantised by a kernel of their own
  (vLLM's ``docs/features/quantization/quantized_kvcache``).
- ``trtllm``: Blackwell's data centre SMs. TensorRT-LLM's ``trtllm-gen`` (``fmhaKernels.h``): tiles
  of 8, 16 or 32 query heads, so many CTAs a sequence as there are SMs left (``multiCtasKvMode``),
  reduced within the kernel.

`Costs` holds what differs beyond tiles and splits, so that one set of constants can stand for all
four. Its counts and shares were chosen with the public times in view (docs/results/silicon.md).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tierlab.hwmodels.time.silicon import flash2, flash3
from tierlab.hwmodels.time.silicon.kernel import ENGINE, Floats, generation, reach
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

NAMES = ("flash2", "flashinfer", "flash3", "trtllm")
ROWS = 64.0
"""Query heads that a packed tile holds, but `trtllm`'s."""
BLOCK = 128.0
"""Keys of a block, where a kernel's source says nothing else."""
_CLOCK_HZ = 2e9
_SRAM_BYTES = 100e3
_HALF = 0.5


def engine(machine: Machine, *, eight: bool) -> str:
    """Return the kernel that vLLM runs, by whether the cache holds bytes."""
    made = generation(machine)
    if made != "older":
        return "flash3" if made == "hopper" else "trtllm"
    return "flashinfer" if eight else "flash2"


def narrow(ops: OpTable) -> bool:
    """Say whether the cache holds bytes."""
    return bool((DTYPE_BYTES[ops.kv_dtype] < 2.0).all())


def resolved(schedule: str, ops: OpTable, machine: Machine) -> str:
    """Return the schedule that a table's calls run, where `ENGINE` leaves it to the machine."""
    return engine(machine, eight=narrow(ops)) if schedule == ENGINE else schedule


class Costs(NamedTuple):
    """What a kernel costs beyond its tiles and splits.

    Attributes
    ----------
    passes
        Small kernels of the call beside storing and attention.
    combine
        Of another kernel's start, what combining splits takes: half where it is launched ahead
        (programmatic dependent launch) or done within the kernel.
    windows
        Whether a window costs: FlashAttention 3 masks both edges in loops of their own.
    slow
        Of a 2 GHz clock, how much longer launches take: half of them is cycles, so its root.
    deep
        Of 100 kB of shared memory an SM, how much more it can have under way.
    quantised
        Traffic of queries that are quantised first, bytes an element.
    softmax
        Of its time, what products do not hide: warps that take turns hide half (FlashAttention 3,
        arXiv 2407.08608, section 3.1).
    """

    passes: Floats | float = 0.0
    combine: float = 1.0
    windows: float = 1.0
    slow: float = 1.0
    deep: float = 1.0
    quantised: float = 0.0
    softmax: float = 1.0


def costs(schedule: str, ops: OpTable, machine: Machine) -> Costs:
    """Return what a kernel costs on a machine; nothing more for a schedule that is no engine's."""
    if schedule not in NAMES:
        return Costs()
    slow, deep = (_CLOCK_HZ / machine.clock_hz) ** _HALF, machine.sram_bytes / _SRAM_BYTES
    if schedule == "flash3":
        eight = narrow(ops)
        return Costs(2.0 if eight else 1.0, _HALF, 1.0, slow, deep, 3.0 if eight else 0.0, _HALF)
    if schedule == "trtllm":
        prefill = bool((ops["q_len"] > 1).any())
        return Costs(1.0 if prefill else 0.0, _HALF, 0.0, slow, deep, softmax=_HALF)
    copied = flash2.copies(ops) if schedule == "flash2" else 0.0
    return Costs(copied, 1.0, 0.0, slow, deep)


class Cut(NamedTuple):
    """How a decode is cut up.

    Attributes
    ----------
    tiles, blocks, splits
        Tiles of the call, blocks of keys of each, CTAs that share one.
    weight
        Of a block of 64 rows and 128 keys, what a block costs.
    """

    tiles: Floats
    blocks: Floats
    splits: Floats
    weight: Floats | float


def cut(schedule: str, ops: OpTable, machine: Machine) -> Cut:
    """Return the tiles, blocks and splits of a decode."""
    lanes, group = ops["batch"] * ops["kv_heads"], ops["heads"] / ops["kv_heads"]
    if schedule == "trtllm":
        return _trtllm(ops, lanes, group, machine.sms)
    packed = lanes * np.ceil(group / ROWS)
    if schedule == "flash3":
        wide = flash3.tile(ops)[1]
        # two stages of keys under way hide half of a block
        return Cut(
            packed, _blocks(ops, wide), flash3.splits(ops, machine.sms), _HALF * wide / BLOCK
        )
    if schedule == "flashinfer":
        own = _blocks(ops, BLOCK)
        return Cut(packed, own, two_ctas(packed, own, machine.sms), 1.0)
    packs, wide = flash2.packs(ops), flash2.keys_of_block(ops)
    tiles = np.where(packs, packed, ops["batch"] * ops["heads"])
    whole = np.ceil(reach(ops)[0] / wide)
    splits = np.where(packs, flash2.splits(tiles, whole, machine.sms), 1.0)
    return Cut(tiles, _blocks(ops, wide), splits, wide / BLOCK)


def two_ctas(tiles: Floats, blocks: Floats, sms: float) -> Floats:
    """Return the splits that fill two CTAs an SM to 85%, float64[n]."""
    room = np.ceil(0.85 * np.floor(np.maximum(2.0 * sms / tiles, 1.0)))
    filled: Floats = np.minimum(np.where(tiles < 1.6 * sms, room, 1.0), np.minimum(blocks, 128.0))
    return filled


def _trtllm(ops: OpTable, lanes: Floats, group: Floats, sms: float) -> Cut:
    rows = np.where(group <= 8, 8.0, np.where(group <= 16, 16.0, 32.0))
    tiles, own = lanes * np.ceil(group / rows), _blocks(ops, BLOCK)
    most = np.minimum(np.ceil(ops["kv_len"] / (2.0 * BLOCK)), own)
    return Cut(tiles, own, np.clip(np.floor(sms / tiles), 1.0, most), rows / ROWS)


def _blocks(ops: OpTable, wide: Floats | float) -> Floats:
    return blocks(ops["kv_len"], ops["window"], wide)


def blocks(kv_len: Floats, window: Floats, wide: Floats | float) -> Floats:
    """Return the blocks that hold the keys in reach, from the first that a window lets in."""
    keys = np.where((window > 0) & (kv_len > window), window, kv_len)
    found: Floats = np.ceil(kv_len / wide) - np.floor((kv_len - keys) / wide)
    return found
