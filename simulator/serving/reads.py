"""How many bytes of KV attention reads: what a design's selection leaves of the context."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.kv import kv_groups
from tierlab.policies.composing import as_keys
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


def keys_read(model: Model, design: Design, tp: int, longest: int) -> NDArray[np.float64]:
    """Return how many keys of the design's `kv_dtype` a decode at each context reads the bytes of.

    What a step timer looks up instead of the context: less where tokens are dropped or not read,
    and a fraction where a format mixes widths.

    Returns
    -------
    float64[longest + 1]
    """
    groups, context = kv_groups(model, tp), np.arange(longest + 1, dtype=np.int64)
    footprint = design.footprint(groups, context)
    return as_keys(footprint, groups, design.representation.kv_dtype)
