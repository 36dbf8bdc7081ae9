"""How many bytes of KV attention reads: what a design's selection leaves of the context."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.kv import kv_groups
from tierlab.policies.design import Design


def bytes_read(model: Model, design: Design, tp: int, longest: int) -> NDArray[np.float64]:
    """Return the KV bytes of one pass of attention over each context, on all GPUs of a replica.

    A decode reads its selected context once. A prefill chunk reads what it attends to once:
    each key is brought on chip once per chunk at best (FlashAttention, arXiv 2205.14135).

    Returns
    -------
    float64[longest + 1]
    """
    context = np.arange(longest + 1, dtype=np.int64)
    read = np.asarray(design.footprint(kv_groups(model, tp), context).read_bytes, np.float64)
    out: NDArray[np.float64] = tp * np.broadcast_to(read, context.shape)
    return out
