"""How decode attention on a GPU is cut into pieces, and joined."""

from __future__ import annotations

from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.compute.cuda.launch import element, launch

ROWS = 16
"""Query heads of a thread block: the rows of a tensor core's tile."""
WARPS = 4
CHUNK = 256
"""Tokens of a piece are a multiple of this: 64 a warp."""
BLOCKS_PER_SM = 4
"""Thread blocks wanted in flight, so that all finish at about the same time."""
HALVES = ("float16", "uint16")
LARGEST_DIM = 128


class Pieces:
    """Pieces of equal length over the capacity of `table`; those beyond a sequence do nothing.

    Lengths stay on the GPU: reading them would wait for it.

    Parameters
    ----------
    q, table
        [batch, heads, dim] and [batch, width] on the GPU.
    kv_heads, block
        Of the cache.
    """

    def __init__(self, q: Any, table: Any, kv_heads: int, block: int) -> None:
        import cupy

        batch, heads, dim = q.shape
        self._q, self.group, self._float = q, heads // kv_heads, cupy.float32
        rows = kv_heads * -(-self.group // ROWS)
        capacity = max(1, table.shape[1] * block)
        wanted = BLOCKS_PER_SM * cupy.cuda.Device().attributes["MultiProcessorCount"]
        splits = min(-(-capacity // CHUNK), -(-wanted // max(1, batch * rows)))
        self.chunk = -(-capacity // (splits * CHUNK)) * CHUNK
        self.splits = -(-capacity // self.chunk)
        self.grid = self.splits, rows, batch
        self.parts = cupy.empty((batch, heads, self.splits, dim), cupy.float32)
        self.sides = cupy.empty((batch, heads, self.splits, 2), cupy.float32)

    def joined(self, lengths: Any) -> tuple[Any, Any]:
        """Return outputs of q's type and float32 log-sum-exps."""
        import cupy

        batch, heads, dim = self._q.shape
        out, lse = cupy.empty_like(self._q), cupy.empty((batch, heads), cupy.float32)
        arguments = (self.parts, self.sides, lengths, self.chunk, self.splits, out, lse)
        launch("join.join", (heads, batch), dim, arguments, ELEMENT=element("q", out, HALVES))
        return out, lse


def check(q: Any, dim_step: int) -> None:
    """Refuse what the tensor cores' kernels do not take.

    Raises
    ------
    BadInput
        Elements are not of 16 bits, or heads no multiple of `dim_step` up to 128.
    """
    element("q", q, HALVES)
    if q.shape[2] % dim_step or q.shape[2] > LARGEST_DIM:
        accepted = f"a multiple of {dim_step}, {LARGEST_DIM} at most"
        raise BadInput("q", f"head size {q.shape[2]}", accepted)
