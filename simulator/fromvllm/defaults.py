"""What vLLM chooses for arguments that nobody gave.

vLLM 0.19, ``vllm/engine/arg_utils.py`` `get_batch_defaults` (lines 2050-2072) and
`_set_default_max_num_seqs_and_batched_tokens_args`: the token budget and the most sequences depend
on the GPU's memory, and on whether the API server or the `LLM` class asks. What else nobody gave
has one default, which is tierlab's too: 16 tokens a block, 0.9 of the memory, prefix caching and
asynchronous scheduling on (as the measured run of vLLM 0.19.0 on an RTX 4090 resolved them).
"""

from __future__ import annotations

from typing import Any

from tierlab.hwmodels.catalogue import load_system

LARGE_BYTES = 70 * 2**30
"""GPUs with as much memory get the larger defaults, but for the A100 (vLLM #17885)."""
LARGE = {"server": 8192, "llm": 16384, "seqs": 1024}
SMALL = {"server": 2048, "llm": 8192, "seqs": 256}
TOKENS, SEQS = "max_num_batched_tokens", "max_num_seqs"


def batch_defaults(
    hardware: str, server: bool, twice: bool, most_tokens: int, engine: dict[str, Any], where: str
) -> dict[str, int]:
    """Return the `engine` keys that vLLM would choose on this hardware, beside those given.

    Parameters
    ----------
    twice
        Whether ``performance_mode`` is throughput, which doubles both.
    most_tokens
        Longest prompt and output of the model as served.
    engine
        Keys that are given.

    Raises
    ------
    BadInput
        There is no such hardware.
    """
    gpu = load_system(hardware, where).gpu
    large = gpu.memory_bytes >= LARGE_BYTES and "a100" not in gpu.name.lower()
    default, factor = LARGE if large else SMALL, 2 if twice else 1
    chosen = {}
    seqs = engine.get(SEQS, factor * default["seqs"])
    if TOKENS not in engine:
        tokens = factor * default["server" if server else "llm"]
        chosen[TOKENS] = min(tokens, seqs * most_tokens)
    if SEQS not in engine:
        chosen[SEQS] = min(seqs, engine.get(TOKENS, chosen.get(TOKENS)))
    return chosen
