"""How many bytes of KV attention reads: what a design's selection leaves of the context."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.kv import kv_groups
from tierlab.policies.composing import as_keys
from tierlab.policies.design import Design
from tierlab.policies.registry import make_policy


def bytes_read(
    model: Model, design: Design, tp: int, longest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the KV bytes of one pass of attention over each context, on all GPUs of a replica.

    Parameters
    ----------
    design
        One that retains everything (`kept.unpruned`).

    Returns
    -------
    decode
        float64[longest + 1], what a step selects of so many stored tokens, once.
    chunk
        float64[longest + 1], all of them: a prompt's chunk attends to every token, and each key is
        brought on chip once per chunk at best (FlashAttention, arXiv 2205.14135).
    """
    context, groups = np.arange(longest + 1, dtype=np.int64), kv_groups(model, tp)
    everything = make_policy("selection", "all", {}, design.where)
    reads_all = replace(design, policies={**design.policies, "selection": everything})
    decode = tp * np.asarray(design.footprint(groups, context).read_bytes)
    return decode, tp * np.asarray(reads_all.footprint(groups, context).read_bytes)


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
