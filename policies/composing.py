"""What a design stores, reads and moves: its five policies' footprints, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.models.architecture import MLA, Attention, Model
from tierlab.kernels.models.kv import KvGroup
from tierlab.kernels.models.linears import shard, shard_kv
from tierlab.kernels.ops.table import DTYPE_BYTES, DTYPES
from tierlab.policies.protocol import (
    AttentionCall,
    KeepsNear,
    KvShape,
    Moves,
    Placement,
    Policy,
    Representation,
    Retention,
    Selection,
    Summarises,
    Tokens,
)

Bytes = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Footprint:
    """What n sequences cost under a design, exactly.

    Attributes
    ----------
    kept_tokens, read_tokens
        int64[groups, n]: stored, and read by one decode step.
    layer_bytes, layer_read_bytes
        float64[groups, n]: KV bytes stored, and read by a decode step, in one layer of a group.
    stored_bytes
        Tier -> float64[n], all layers; in HBM also what a selection keeps beside the KV.
    staged_bytes
        float64[n], HBM that layers placed elsewhere pass through, beside ``stored_bytes``.
    read_bytes
        float64[n], KV bytes that one decode step reads, wherever they are, and what a selection
        reads to choose them.
    moved_bytes
        Tier -> float64[n], of those what has to come to HBM first.
    unpruned_bytes
        float64[n], the same sequences before retention drops anything: what a prompt that is
        written in chunks holds until it is whole. A part that is only masked would count here
        and in ``stored_bytes`` alike.
    """

    kept_tokens: Tokens
    read_tokens: Tokens
    layer_bytes: Bytes
    layer_read_bytes: Bytes
    stored_bytes: dict[str, Bytes]
    staged_bytes: Bytes
    read_bytes: Bytes
    moved_bytes: dict[str, Bytes]
    unpruned_bytes: Bytes


def as_keys(footprint: Footprint, groups: tuple[KvGroup, ...], kv_dtype: str) -> Bytes:
    """Return the keys stored as `kv_dtype` whose bytes equal what a decode step reads, float64[n].

    A format that mixes widths (KIVI) is no number of such keys; attention in decode is bound by
    bytes, so its time follows from this. The largest over the groups: windows bind elsewhere.
    """
    per_key = [DTYPE_BYTES[DTYPES.index(kv_dtype)] * g.elements_per_token for g in groups]
    keys = footprint.layer_read_bytes / np.array(per_key)[:, None]
    most: Bytes = keys.max(axis=0, initial=1.0)
    return most


def compose(
    policies: Mapping[str, Policy],
    groups: tuple[KvGroup, ...],
    context: Tokens,
    prompt: Tokens | None,
) -> Footprint:
    """Return the footprint of sequences of `context` tokens, int64[n]."""
    retention = cast("Retention", policies["retention"])
    representation = cast("Representation", policies["representation"])
    selection = cast("Selection", policies["selection"])
    placement = cast("Placement", policies["placement"])
    shape = len(groups), len(context)
    came = None if prompt is None else np.broadcast_to(prompt, shape)
    whole = KvShape(groups, np.broadcast_to(context, shape), came)
    stored = KvShape(groups, retention.footprint(whole))
    read = KvShape(groups, selection.footprint(stored))
    kept_bytes, read_bytes = representation.footprint(stored), representation.footprint(read)
    near = np.zeros(shape)
    if isinstance(selection, KeepsNear):
        resident = KvShape(groups, selection.resident(stored))
        near = np.minimum(representation.footprint(resident), kept_bytes)
    extra = np.zeros(shape)
    if isinstance(selection, Summarises):
        extra = selection.summary_footprint(stored)
    tiers = dict(placement.footprint((kept_bytes - near).sum(axis=0)))
    tiers["hbm"] = tiers.get("hbm", 0.0) + (near + extra).sum(axis=0)
    layers = np.array([g.layers for g in groups], np.float64)[:, None]
    far = np.maximum(read_bytes - near, 0.0)
    moves = placement if isinstance(placement, Moves) else None
    return Footprint(
        stored.tokens,
        read.tokens,
        kept_bytes / layers,
        read_bytes / layers,
        tiers,
        moves.staged((far / layers).max(axis=0, initial=0.0)) if moves else np.zeros(shape[1]),
        (read_bytes + extra).sum(axis=0),
        moves.moved(far.sum(axis=0)) if moves else {},
        representation.footprint(whole).sum(axis=0),
    )


def calls_of(
    model: Model,
    tp: int,
    prefill: bool,
    batch: Tokens,
    queries: Tokens,
    keys: Tokens,
    ends_prompt: NDArray[np.bool_],
) -> list[AttentionCall]:
    """Return the attention calls of n steps, one for each distinct attention of the model.

    MLA in its absorbed form is one KV head as wide as the cached row.
    """
    found: dict[Attention | MLA, int] = {}
    for layer, times in model.shapes():
        if isinstance(layer.mixer, Attention | MLA):
            found[layer.mixer] = found.get(layer.mixer, 0) + times
    return [
        AttentionCall(times, *_heads(mixer, tp), prefill, batch, queries, keys, ends_prompt)
        for mixer, times in found.items()
    ]


def _heads(mixer: Attention | MLA, tp: int) -> tuple[int, int, int, int, int]:
    """Return query heads, KV heads, a head's width, a token's elements, and the window."""
    heads = shard(mixer.heads, tp, "query heads")
    if isinstance(mixer, MLA):
        row = mixer.kv_lora_rank + mixer.qk_rope_dim
        return heads, 1, row, row, 0
    kv_heads = shard_kv(mixer.kv_heads, tp)
    return heads, kv_heads, mixer.head_dim, 2 * kv_heads * mixer.head_dim, mixer.window
