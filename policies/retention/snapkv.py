"""The prompt's tokens that its last queries attend to stay; what is generated is added."""

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
from tierlab.policies.retention.ranking import best_and_recent
from tierlab.policies.retention.windows import within_windows


@dataclass(frozen=True)
class SnapKV:
    """SnapKV: the last `window` queries of a prompt vote for `capacity` tokens (arXiv 2404.14469).

    It acts once, when the prompt is whole, and not at all on prompts shorter than `capacity`
    (snapkv/monkeypatch/snapkv_utils.py); decoding adds its tokens uncompressed.

    Attributes
    ----------
    window
        Queries that vote; their tokens stay. 64 in the class, 32 in ``init_snapkv``.
    capacity
        ``max_capacity_prompt``, the window included: 2048 in ``init_snapkv``.
    kernel
        Width of the average pool over the votes: 5.
    """

    window: int = 64
    capacity: int = 2048
    kernel: int = 5

    axis: ClassVar[str] = "retention"
    name: ClassVar[str] = "snapkv"
    paper: ClassVar[str] = "SnapKV, arXiv 2404.14469"
    declares: ClassVar[Declares] = Declares(
        reusable=False, needs_scores=True, extra_pass=True, drops_at=("prefill",)
    )

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_count("window", self.window, 1)
        check_count("kernel", self.kernel, 1)
        check_count("capacity", self.capacity, self.window + 1)
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel = {self.kernel} is even")

    def footprint(self, shape: KvShape) -> Tokens:
        """Return min(prompt, capacity) + generated, int64 like ``shape.tokens``."""
        prompt = shape.prompt_tokens
        kept = np.minimum(prompt, self.capacity) + shape.tokens - prompt
        return within_windows(shape, kept)

    def operations(self, call: AttentionCall) -> Work:
        """Score, normalise, sum and pool the window's queries; copy what stays. Once a prompt."""
        ends = call.ends_prompt & (call.keys >= self.capacity)
        passes = Passes(call, ends & np.full(call.batch.shape, call.prefill))
        keys = passes.pick(call.keys)
        rows = HALF * passes.pick(call.batch) * call.heads * keys
        passes.scores(np.full_like(keys, self.window), keys)
        passes.move(2 * self.window * rows)
        passes.move((self.window + 1) * rows)
        passes.move(2 * rows)
        passes.move(2 * HALF * passes.pick(call.batch) * self.capacity * call.elements)
        return passes.work()

    def statistics(self, source: Mapping[str, object]) -> Statistics:
        """Return the attention mass that stays: it depends on the text."""
        return Statistics(0.9, 0.7, 1.0, "assumption (2026-11-21): not measured here")

    def decide(self, keys: NDArray[np.floating], scores: NDArray[np.floating] | None) -> Tokens:
        """Return each head's positions after pooling the window's votes, int64[heads, kept].

        Raises
        ------
        ValueError
            No scores.
        """
        if scores is None:
            raise ValueError("SnapKV needs the attention mass of the window's queries")
        tokens = keys.shape[1]
        if tokens <= self.capacity:
            return best_and_recent(scores, tokens, tokens)
        votes = scores.astype(np.float64).copy()
        votes[:, : tokens - self.window] = _pooled(votes[:, : tokens - self.window], self.kernel)
        return best_and_recent(votes, self.capacity - self.window, self.window)


def _pooled(votes: NDArray[np.float64], kernel: int) -> NDArray[np.float64]:
    """Return the running mean over `kernel` tokens, zeros beyond the ends, [heads, tokens]."""
    half = kernel // 2
    wide = np.pad(votes, ((0, 0), (half, half)))
    windows = np.lib.stride_tricks.sliding_window_view(wide, kernel, axis=1)
    mean: NDArray[np.float64] = windows.mean(axis=2)
    return mean
