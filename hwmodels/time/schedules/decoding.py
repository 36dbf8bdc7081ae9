"""What schedules of decode share: tiles of one KV head, streamed by CTAs at a bounded rate each.

One CTA keeps so many bytes in flight, and no more: alone on the GPU it draws `cta_bytes_per_s`,
whatever the memory could give.
"""

from __future__ import annotations

from dataclasses import dataclass

from tierlab.hwmodels.time.schedules.problem import Problem
from tierlab.hwmodels.time.silicon.machine import Machine
from tierlab.kernels.base.errors import BadInput

BLOCK = 128
"""Keys of one step of a CTA's loop."""


@dataclass(frozen=True)
class Rates:
    """What a decode kernel reaches.

    Attributes
    ----------
    launch_s
        Start, and of split kernels the pass that combines them.
    cta_bytes_per_s
        What one CTA draws.
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


def tiles(problem: Problem) -> int:
    """Return the KV heads of all sequences: what is never divided but over keys.

    Raises
    ------
    BadInput
        There is more than one query a sequence.
    """
    if problem.q_len != 1 or problem.backward:
        raise BadInput("decode schedule", f"{problem.q_len} queries", "one query, forward")
    return problem.batch * problem.kv_heads


def streamed(problem: Problem) -> float:
    """Return the bytes of keys and values."""
    return 2.0 * problem.key_bytes


def flops(problem: Problem) -> float:
    """Return the FLOPs of both products."""
    return 2.0 * problem.dense_flops


def stream_s(problem: Problem, machine: Machine, rates: Rates, busiest_bytes: float) -> float:
    """Return the time to stream: all at the memory's rate, or the busiest SM's share at a CTA's."""
    all_s = streamed(problem) / (rates.hbm_share * machine.bytes_per_s)
    return max(all_s, busiest_bytes / rates.cta_bytes_per_s)
