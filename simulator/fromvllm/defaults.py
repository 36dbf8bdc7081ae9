"""What vLLM chooses for arguments that nobody gave.

vLLM 0.19, ``vllm/engine/arg_utils.py`` `get_batch_defaults`: the token budget and the most
sequences depend on the GPU's memory, and on whether the API server or the `LLM` class asks.
"""

from __future__ import annotations

from tierlab.hwmodels.catalogue import load_system

LARGE_BYTES = 70 * 2**30
"""GPUs with as much memory get the larger defaults, but for the A100 (vLLM #17885)."""
LARGE = {"server": 8192, "llm": 16384, "seqs": 1024}
SMALL = {"server": 2048, "llm": 8192, "seqs": 256}


def batch_defaults(hardware: str, server: bool, where: str) -> dict[str, int]:
    """Return the `engine` keys that vLLM would choose on this hardware.

    Raises
    ------
    BadInput
        There is no such hardware.
    """
    gpu = load_system(hardware, where).gpu
    large = gpu.memory_bytes >= LARGE_BYTES and "a100" not in gpu.name.lower()
    chosen = LARGE if large else SMALL
    return {
        "max_num_batched_tokens": chosen["server" if server else "llm"],
        "max_num_seqs": chosen["seqs"],
    }
