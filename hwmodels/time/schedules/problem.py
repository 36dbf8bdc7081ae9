"""One attention call, and what a schedule says of it."""

from __future__ import annotations

from dataclasses import dataclass

from tierlab.kernels.base.errors import BadInput

MASKS = ("none", "added", "filled")


@dataclass(frozen=True)
class Problem:
    """One attention call.

    Attributes
    ----------
    batch, heads, kv_heads, head_dim
        Sequences, query heads, KV heads, and the width of each head.
    q_len, kv_len
        Queries and keys of each sequence.
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
        Of queries, keys, values and outputs.

    Raises
    ------
    BadInput
        A size is not positive, or the heads do not group.
    """

    batch: int
    heads: int
    kv_heads: int
    head_dim: int
    q_len: int
    kv_len: int
    causal: bool = False
    backward: bool = False
    mask: str = "none"
    dropout: bool = False
    element_bytes: float = 2.0

    def __post_init__(self) -> None:
        for name in ("batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len", "element_bytes"):
            value = getattr(self, name)
            if not value > 0:
                raise BadInput("attention problem", f"{name} is {value!r}", f"{name} over 0")
        if self.mask not in MASKS:
            raise BadInput("attention problem", f"mask is {self.mask!r}", ", ".join(MASKS))
        if self.heads % self.kv_heads:
            what = f"{self.heads} heads over {self.kv_heads} KV heads"
            raise BadInput("attention problem", what, "a whole number of heads for each")
        if self.causal and self.kv_len < self.q_len:
            raise BadInput("attention problem", "kv_len under q_len", "no less")

    @property
    def lanes(self) -> int:
        """Query heads of all sequences."""
        return self.batch * self.heads

    @property
    def query_bytes(self) -> float:
        """Bytes of all queries, or of all outputs."""
        return self.lanes * self.q_len * self.head_dim * self.element_bytes

    @property
    def key_bytes(self) -> float:
        """Bytes of all keys, or of all values."""
        size = self.batch * self.kv_heads * self.kv_len * self.head_dim
        return size * self.element_bytes

    @property
    def score_bytes(self) -> float:
        """Bytes of one matrix of scores for each query head."""
        return float(self.lanes) * self.q_len * self.kv_len * self.element_bytes

    @property
    def dense_flops(self) -> float:
        """FLOPs of one product of queries and keys, nothing masked."""
        return 2.0 * self.lanes * self.q_len * self.kv_len * self.head_dim


@dataclass(frozen=True)
class Cost:
    """What a schedule makes of a call.

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

    hbm_bytes: float
    flops: float
    seconds: float
    ctas: int
