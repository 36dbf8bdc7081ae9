"""Attention calls, and what a schedule says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput

MASKS = ("none", "added", "filled")
Number = Any
"""A number of one call, or float64[n] of n calls: the formulas are the same."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One attention call, or n calls as columns.

    Attributes
    ----------
    batch, heads, kv_heads, head_dim
        Sequences, query heads, KV heads, and the width of each head.
    q_len, kv_len
        Queries and keys of each sequence; of unlike sequences, keys in the mean.
    causal
        Whether a query sees the keys up to its own only.
    backward
        Whether gradients are computed too.
    mask
        How scores are masked where they are materialised: ``none``, ``added`` (a matrix) or
        ``filled`` (in place, and again in the gradient).
    dropout
        Whether they are dropped at random, a pass of its own.
    element_bytes
        Of queries and outputs; of keys and values too, unless `kv_bytes` says otherwise.
    kv_bytes
        Of an element of keys and values.
    window
        Keys that a causal query sees at most, its own included; 0: all.
    spread
        (longest - mean) / mean of the keys of a batch.

    Raises
    ------
    BadInput
        A size is not positive, or the heads do not group.
    """

    batch: Number
    heads: Number
    kv_heads: Number
    head_dim: Number
    q_len: Number
    kv_len: Number
    causal: bool = False
    backward: bool = False
    mask: str = "none"
    dropout: bool = False
    element_bytes: Number = 2.0
    kv_bytes: Number = None
    window: Number = 0.0
    spread: Number = 0.0

    def __post_init__(self) -> None:
        for name in ("batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len", "element_bytes"):
            _refuse(name, getattr(self, name), lambda v: v > 0, f"{name} over 0")
        for name in ("window", "spread"):
            _refuse(name, getattr(self, name), lambda v: v >= 0, f"{name} from 0")
        if self.mask not in MASKS:
            raise BadInput("attention problem", f"mask is {self.mask!r}", ", ".join(MASKS))
        if np.any(self.heads % self.kv_heads):
            what = f"{self.heads} heads over {self.kv_heads} KV heads"
            raise BadInput("attention problem", what, "a whole number of heads for each")
        if self.causal and np.any(np.less(self.kv_len, self.q_len)):
            raise BadInput("attention problem", "kv_len under q_len", "no less")

    @property
    def lanes(self) -> Number:
        """Query heads of all sequences."""
        return self.batch * self.heads

    @property
    def reach(self) -> Number:
        """Keys that one query sees at most."""
        return np.where(self.window > 0, np.minimum(self.window, self.kv_len), self.kv_len)

    @property
    def longest(self) -> Number:
        """Keys that a query of the longest sequence sees."""
        keys = self.kv_len * (1.0 + self.spread)
        return np.where(self.window > 0, np.minimum(self.window, keys), keys)

    @property
    def seen(self) -> Number:
        """Keys of a sequence that some query sees."""
        return np.minimum(self.kv_len, self.reach + self.q_len - 1.0)

    @property
    def mean_reach(self) -> Number:
        """Keys that a causal query sees in the mean."""
        past, reach = self.kv_len - self.q_len, self.reach
        rising = np.maximum(reach - past, 0.0)
        return reach - np.square(rising) / (2.0 * self.q_len)

    @property
    def query_bytes(self) -> Number:
        """Bytes of all queries, or of all outputs."""
        return self.lanes * self.q_len * self.head_dim * self.element_bytes

    @property
    def key_bytes(self) -> Number:
        """Bytes of all keys that are seen, or of all values."""
        size = self.batch * self.kv_heads * self.seen * self.head_dim
        return size * (self.element_bytes if self.kv_bytes is None else self.kv_bytes)

    @property
    def score_bytes(self) -> Number:
        """Bytes of one matrix of scores for each query head."""
        return 1.0 * self.lanes * self.q_len * self.kv_len * self.element_bytes

    @property
    def dense_flops(self) -> Number:
        """FLOPs of one product of queries and keys, nothing masked."""
        return 2.0 * self.lanes * self.q_len * self.kv_len * self.head_dim


def _refuse(name: str, values: Number, good: Any, accepted: str) -> None:
    bad = ~good(np.asarray(values, np.float64))
    if bad.any():
        what = f"{name} is {np.broadcast_to(values, bad.shape)[bad].flat[0]:g}"
        raise BadInput("attention problem", what, accepted)


@dataclass(frozen=True, eq=False)
class Cost:
    """What a schedule makes of a call, or of each of n.

    Attributes
    ----------
    hbm_bytes
        Traffic to and from memory.
    flops
        Arithmetic of the matrix products that run, masked corners of tiles included.
    seconds
        The time.
    ctas
        Blocks of threads, or of an array the tiles of queries.
    """

    hbm_bytes: Number
    flops: Number
    seconds: Number
    ctas: Number
