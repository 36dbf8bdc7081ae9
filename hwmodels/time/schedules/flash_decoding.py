"""FlashDecoding: the keys of each tile in equal splits, combined by a pass of its own.

The number of splits is a power of two, the largest with which all CTAs run at once, as the public
times of TensorRT-LLM on A100 show (their rates jump where tiles times such a number do); or it is
given, as where an engine fixes it. Dao, Haziza, Massa and Sizov (2023), Flash-Decoding for
long-context inference.
"""

from __future__ import annotations

import numpy as np

from tierlab.hwmodels.time.schedules import decoding
from tierlab.hwmodels.time.schedules.problem import Cost, Number, Problem
from tierlab.hwmodels.time.silicon.machine import Machine

_PARTIAL_BYTES = 4.0


def splits_of(tiles: Number, kv_len: Number, sms: float) -> Number:
    """Return the splits of each tile."""
    room = 2.0 ** np.floor(np.log2(np.maximum(sms / tiles, 1.0)))
    return np.minimum(room, decoding.blocks(kv_len))


def flash_decoding(
    problem: Problem,
    machine: Machine,
    splits: int | None = None,
    rates: decoding.Rates = decoding.TRTLLM_A100,
) -> Cost:
    """Return what decode costs with splits; beyond one wave CTAs share SMs."""
    tiles = decoding.tiles(problem)
    chosen = splits or splits_of(tiles, problem.longest, machine.sms)
    partial = problem.lanes * (problem.head_dim + 2.0) * chosen * _PARTIAL_BYTES * 2.0
    moved = decoding.streamed(problem) + np.where(chosen > 1, partial, 0.0)
    waves = tiles * chosen / machine.sms
    crowd = np.maximum(1.0, waves) if splits is None else np.ceil(waves)
    busiest = decoding.busiest(problem, crowd, chosen)
    seconds = rates.launch_s + decoding.stream_s(problem, machine, rates, busiest)
    return Cost(moved, decoding.flops(problem), seconds, tiles * chosen)
