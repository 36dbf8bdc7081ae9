"""Attention over a KV cache: prefill (causal, chunked, windowed) and decode, GQA and MLA.

Only the two products count as FLOPs, scores and weighted sum; softmax does not, as in the
FlashAttention papers (arXiv 2205.14135, 2307.08691). With MLA in its absorbed form
(`latent_rank` > 0) keys are latent and rotary part, values are the latent inside the key, and
one row of the cache serves all heads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import DTYPE_BYTES, OpTable

Floats = NDArray[np.float64]


def flops(ops: OpTable) -> Floats:
    """Return 2 batch heads (head_dim + v_head_dim) visible_pairs."""
    per_pair: Floats = 2.0 * ops["heads"] * (ops["head_dim"] + value_dim(ops))
    return ops["batch"] * per_pair * visible_pairs(ops)


def traffic_bytes(ops: OpTable) -> Floats:
    """Return queries in, outputs out, and each visible key and value in once."""
    rows = ops["batch"] * ops["q_len"] * ops["heads"]
    ends: Floats = rows * (ops["head_dim"] + value_dim(ops)) * DTYPE_BYTES[ops.dtype]
    return ends + kv_bytes(ops)


def backward_flops(ops: OpTable) -> Floats:
    """Return the five products of the gradient: scores, dP, dV, dQ and dK; forward has two.

    Scores, dQ and dK sum over a query's width, dP and dV over a value's (arXiv 2307.08691,
    algorithm 2).
    """
    per_pair: Floats = 2.0 * ops["heads"] * (3.0 * ops["head_dim"] + 2.0 * value_dim(ops))
    return ops["batch"] * per_pair * visible_pairs(ops)


def backward_bytes(ops: OpTable) -> Floats:
    """Return Q, K, V, O and dO in, dQ, dK and dV out, each once; of keys, those that are seen."""
    rows = ops["batch"] * ops["q_len"] * ops["heads"]
    ends: Floats = rows * 2.0 * (ops["head_dim"] + value_dim(ops)) * DTYPE_BYTES[ops.dtype]
    return ends + 2.0 * kv_bytes(ops)


def kv_bytes(ops: OpTable) -> Floats:
    """Return the bytes of KV cache read, per call."""
    row = ops["head_dim"] + np.where(ops["latent_rank"] > 0, 0.0, value_dim(ops))
    cached = ops["batch"] * visible_keys(ops) * ops["kv_heads"] * row
    read: Floats = cached * DTYPE_BYTES[ops.kv_dtype]
    return read


def value_dim(ops: OpTable) -> Floats:
    """Return the width of a value head."""
    width = np.where(ops["v_head_dim"] > 0, ops["v_head_dim"], ops["head_dim"])
    return np.where(ops["latent_rank"] > 0, ops["latent_rank"], width)


def visible_keys(ops: OpTable) -> Floats:
    """Return the keys that at least one query of a sequence sees."""
    reach: Floats = _window(ops) + ops["q_len"] - 1.0
    return np.minimum(ops["kv_len"], reach)


def visible_pairs(ops: OpTable) -> Floats:
    """Return the (query, key) pairs of a sequence that the causal mask and window leave.

    The last query sees min(kv_len, window) keys, each one before it one key fewer until the
    window no longer binds: sum of min(j, window) for j from kv_len - q_len + 1 to kv_len.
    """
    last, window = ops["kv_len"], _window(ops)
    return _capped_sum(last, window) - _capped_sum(last - ops["q_len"], window)


def _window(ops: OpTable) -> Floats:
    return np.where(ops["window"] > 0, ops["window"], np.inf)


def _capped_sum(count: Floats, cap: Floats) -> Floats:
    """Sum of min(j, cap) for j = 1 to count."""
    rising = np.minimum(count, cap)
    flat: Floats = np.where(np.isinf(cap), 0.0, cap) * np.maximum(count - cap, 0.0)
    return rising * (rising + 1.0) / 2.0 + flat
