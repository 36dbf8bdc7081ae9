"""The blocks whose representatives match the query best are read, with first and last tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.ops.table import Work
from tierlab.policies.passes import HALF, Passes
from tierlab.policies.protocol import AttentionCall, Declares, KvShape, Statistics, Tokens
from tierlab.policies.ranges import check_count


@dataclass(frozen=True)
class TopkBlocks:
    """InfLLM: initial and local tokens, and the top blocks by representative (arXiv 2402.04617).

    Tokens between the first `init` and the last `local` form blocks of `block`; fewer than that
    wait, unread, until they fill one. A step scores each block's `representatives` keys and reads
    the `topk` best blocks, the same for all heads. Representatives stay in HBM beside the cache,
    in 16 bit.

    Attributes
    ----------
    block, init, local, topk, representatives
        ``block_size``, ``n_init``, ``n_local``, ``topk``, ``repr_topk`` of
        config/mistral-inf-llm.yaml.
    averaged
        Store the mean of a block's representatives instead of all (context_manager.py does; the
        score, a sum of products, is the same times their number).
    """

    block: int = 128
    init: int = 128
    local: int = 4096
    topk: int = 16
    representatives: int = 4
    averaged: bool = False

    axis: ClassVar[str] = "selection"
    name: ClassVar[str] = "topk-blocks"
    paper: ClassVar[str] = "InfLLM, arXiv 2402.04617"
    declares: ClassVar[Declares] = Declares(
        needs_scores=True, extra_pass=True, grouped_tokens=True, partial=True
    )

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_count("init", self.init)
        for name in ("block", "local", "topk", "representatives"):
            check_count(name, getattr(self, name), 1)
        if self.representatives > self.block:
            raise ValueError(f"{self.representatives} representatives of {self.block} tokens")

    def blocks(self, tokens: Tokens) -> Tokens:
        """Return how many whole blocks lie between the first and the local tokens."""
        count: Tokens = np.maximum(tokens - self.init - self.local, 0) // self.block
        return count

    def footprint(self, shape: KvShape) -> Tokens:
        """Return initial, local and chosen tokens, int64 like ``shape.tokens``."""
        tokens = shape.tokens
        chosen = np.minimum(self.blocks(tokens), self.topk) * self.block
        read: Tokens = np.minimum(tokens, self.init + self.local) + chosen
        return read

    def resident(self, shape: KvShape) -> Tokens:
        """Return the initial and local tokens, which every step reads and HBM keeps."""
        waiting = np.maximum(shape.tokens - self.init - self.local, 0) % self.block
        near: Tokens = np.minimum(shape.tokens, self.init + self.local) + waiting
        return near

    @property
    def vectors(self) -> int:
        """Vectors that stand for a block."""
        return 1 if self.averaged else self.representatives

    def summary_footprint(self, shape: KvShape) -> NDArray[np.float64]:
        """Return the representatives' bytes, each a key of 16 bit; a step reads all of them."""
        per_block = [HALF * self.vectors * g.key_elements * g.layers for g in shape.groups]
        return np.array(per_block)[:, None] * self.blocks(shape.tokens)

    def operations(self, call: AttentionCall) -> Work:
        """Score all representatives, and in a prompt each token by the local queries after it.

        The second is a pass over the local window that sums a token's scores as it goes: it
        writes one sum a head and token.
        """
        passes = Passes(call)
        queries, keys = passes.pick(call.queries), passes.pick(call.keys)
        vectors = self.vectors * self.blocks(keys.astype(np.int64)).astype(np.float64)
        passes.scores(np.minimum(queries, 1), vectors)
        passes.move(2 * HALF * passes.pick(call.batch) * vectors)
        if call.prefill:
            passes.score_sums(queries, keys, self.local)
        return passes.work()

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the attention mass that is read: it depends on the text."""
        return Statistics(0.85, 0.5, 1.0, "assumption (2026-11-21): not measured here")

    def decide(self, query: NDArray[np.floating], keys: NDArray[np.floating]) -> Tokens:
        """Return the positions that this query [heads, head_dim] reads, int64[heads, read].

        The representatives of a block are here its keys that the query matches best, summed over
        heads: the executor has the queries of the local window, this method has one.
        """
        heads, tokens = keys.shape[:2]
        count = int(self.blocks(np.array(tokens, np.int64)))
        first = np.arange(min(self.init, tokens))
        last = np.arange(max(tokens - self.local, len(first)), tokens)
        products = np.einsum("hd,htd->t", query, keys)
        stop = len(first) + count * self.block
        each = np.sort(products[len(first) : stop].reshape(count, self.block), axis=1)
        score = each[:, -self.representatives :].sum(axis=1)
        best = np.sort(np.argsort(-score, kind="stable")[: self.topk])
        inside = (len(first) + best[:, None] * self.block + np.arange(self.block)).ravel()
        chosen = np.concatenate([first, inside, last]).astype(np.int64)
        return np.broadcast_to(chosen, (heads, len(chosen))).copy()
