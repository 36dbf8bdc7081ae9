"""Sampling one token from each of m rows of n logits, in 32 bits.

`k` counts passes over the logits beyond the one that finds the largest: `PASSES` has those of
vLLM's samplers (vllm/v1/sample/sampler.py and ops/topk_topp_sampler.py, without FlashInfer), one
pass being n reads or writes of 4 bytes a row.
"""

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

TOKEN_BYTES = 4.0
"""vLLM returns int32 token ids."""

_TEMPERATURE = 2.0
_SOFTMAX = 2.0
_NOISE = 1.0
_DIVIDE = 3.0
_RANDOM = _TEMPERATURE + _SOFTMAX + _NOISE + _DIVIDE
_SORT = 4 * 2 * (4.0 + 8.0) / 4.0
_MASK_TOP_K = 2.0
_MASK_TOP_P = _SOFTMAX + 2.0 + 1.0 + 2.0
_UNSORT = (8.0 + 4.0 + 4.0) / 4.0
PASSES = {
    "greedy": 0.0,
    "random": _RANDOM,
    "top_k_top_p": _RANDOM + _SORT + _MASK_TOP_K + _MASK_TOP_P + _UNSORT,
}
"""Greedy: argmax alone. Random: logits over temperature (read, write), softmax (read, write),
exponential noise (write), probabilities over noise (two reads, write), argmax. Top-k and top-p: a
radix sort of four digits, each moving 4-byte keys and 8-byte places in and out; a mask for k;
softmax, running sum (read, write), comparison and mask for p; values back to their places."""


def flops(ops: OpTable) -> NDArray[np.float64]:
    """Return m n: one comparison a logit."""
    return ops["m"] * ops["n"]


def traffic_bytes(ops: OpTable) -> NDArray[np.float64]:
    """Return the logits in, 1 + k times, and one token id a row out."""
    passes = 1.0 + ops["k"]
    traffic: NDArray[np.float64] = ops["m"] * (
        ops["n"] * DTYPE_BYTES[ops.dtype] * passes + TOKEN_BYTES
    )
    return traffic
