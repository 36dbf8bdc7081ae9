"""What schedules of decode share: tiles of one KV head, streamed by CTAs at a bounded rate each.

One CTA keeps so many bytes in flight, and no more: alone on the GPU it draws `cta_bytes_per_s`,
whatever the memory could give. The rates were fitted on an A100; kernels for a memory that has more
for each SM keep more in flight (`drawn`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tierlab.hwmodels.time.schedules.problem import Number, Problem
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.base.errors import BadInput

BLOCK = 128
"""Keys of one step of a CTA's loop."""
STARTS = 0.5
"""When the longest sequence of a batch starts, of the waves before the last: it may be anywhere
(assumption, 2026-11-22, as `silicon.uneven.ANYWHERE`)."""


@dataclass(frozen=True)
class Rates:
    """What a decode kernel reaches.

    Attributes
    ----------
    launch_s
        Start, writing the new keys and values, and of split kernels the pass that combines them.
    cta_bytes_per_s
        What one CTA draws on an A100.
    hbm_share
        Of the memory's bandwidth, at most.
    """

    launch_s: float
    cta_bytes_per_s: float
    hbm_share: float


VLLM_A100 = Rates(8.03e-6, 21.9e9, 0.701)
"""vLLM 0.14.0 on A100 (FlashAttention-2): fitted by `benchmarks/attention_schedules.py` to the
rows of aiconfigurator-core without grouping, heads of 128, 4K keys or more, all but 8 heads."""
TRTLLM_A100 = Rates(18.2e-6, 21.5e9, 0.803)
"""TensorRT-LLM 1.0.0 on A100: the same."""


A100_SM_BYTES_PER_S = 2039e9 / 108
"""Of the memory of an A100 80GB, what each SM has (datasheet)."""


def tiles(problem: Problem) -> Number:
    """Return the KV heads of all sequences: what is never divided but over keys.

    Raises
    ------
    BadInput
        There is more than one query a sequence.
    """
    if np.any(np.not_equal(problem.q_len, 1)) or problem.backward:
        raise BadInput("decode schedule", f"{problem.q_len} queries", "one query, forward")
    return problem.batch * problem.kv_heads


def streamed(problem: Problem) -> Number:
    """Return the bytes of keys and values."""
    return 2.0 * problem.key_bytes


def blocks(keys: Number) -> Number:
    """Return the steps of a CTA's loop over so many keys."""
    return np.ceil(keys / BLOCK)


def block_bytes(problem: Problem) -> Number:
    """Return the bytes of a whole block of one tile."""
    each = streamed(problem) / (tiles(problem) * problem.reach)
    return np.minimum(BLOCK, problem.longest) * each


def flops(problem: Problem) -> Number:
    """Return the FLOPs of both products."""
    return 2.0 * problem.dense_flops * problem.reach / problem.kv_len


def busiest(problem: Problem, waves: Number, splits: Number = 1.0) -> Number:
    """Return the bytes that the busiest SM streams, of tiles that are cut into equal splits.

    It has one of the mean length a wave, or waits for the longest sequence's.
    """
    mean = np.ceil(blocks(problem.reach) / splits)
    longest = np.ceil(blocks(problem.longest) / splits) + STARTS * (waves - 1.0) * mean
    return block_bytes(problem) * np.maximum(waves * mean, longest)


def drawn(machine: Machine, rates: Rates) -> float:
    """Return what one CTA draws of a machine's memory, B/s.

    As on an A100, times as much as an SM has more of the memory (assumption, 2026-11-22: of the
    same fit to TensorRT-LLM's rows, an H100 draws 26.8 GB/s, 28.9 here; an H200 34.3, 41.4 here; a
    B200 is never bound by it; vLLM's on an L40S 27.4, 21.9 here).
    """
    share = machine.bytes_per_s / machine.sms / A100_SM_BYTES_PER_S
    return rates.cta_bytes_per_s * max(1.0, share)


def stream_s(problem: Problem, machine: Machine, rates: Rates, busiest_bytes: Number) -> Number:
    """Return the time to stream, and no less than the products take.

    All at the memory's rate, or the busiest SM's share at a CTA's.
    """
    all_s = streamed(problem) / (rates.hbm_share * machine.bytes_per_s)
    products_s = flops(problem) / machine.peak("fp16")
    return np.maximum(np.maximum(all_s, products_s), busiest_bytes / drawn(machine, rates))
