"""How many bytes of KV attention reads: what a design's selection leaves of the context."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.kv import kv_groups
from tierlab.policies.composing import as_keys
from tierlab.policies.design import Design
from tierlab.policies.registry import make_policy

Floats = NDArray[np.float64]


class Reads(NamedTuple):
    """KV bytes of one pass of attention over each context, on all GPUs of a replica.

    Attributes
    ----------
    decode
        float64[longest + 1], what a step selects of so many stored tokens, once.
    before
        float64[longest + 1], the sum of `decode` over all contexts up to so many.
    chunk
        float64[longest + 1], all of them: a prompt's chunk attends to every token, and each key is
        brought on chip once per chunk at best (FlashAttention, arXiv 2205.14135).
    """

    decode: Floats
    before: Floats
    chunk: Floats


def bytes_read(model: Model, design: Design, tp: int, longest: int) -> Reads:
    """Return what attention reads.

    Parameters
    ----------
    design
        One that retains everything (`kept.unpruned`).
    """
    context, groups = np.arange(longest + 1, dtype=np.int64), kv_groups(model, tp)
    decode = tp * np.asarray(design.footprint(groups, context).read_bytes)
    everything, chunk = make_policy("selection", "all", {}, design.where), decode
    if design.selection != everything:
        reads_all = replace(design, policies={**design.policies, "selection": everything})
        chunk = tp * np.asarray(reads_all.footprint(groups, context).read_bytes)
    return Reads(decode, np.cumsum(decode), chunk)


def keys_read(model: Model, design: Design, tp: int, longest: int) -> Floats:
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
